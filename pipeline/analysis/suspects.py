"""The images whose labels are doubted, the most doubtful first; on the command line as well.

`python -m pipeline.analysis.suspects` prints the suspects above the threshold as rows of
data/corrections.csv; `--write data/corrections.csv` adds them to that file.
"""

import csv
import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.analysis.confident import Doubts, doubt, self_confidence
from pipeline.analysis.mending import as_marks, as_rows, merged, settled, unambiguous_names
from pipeline.core.archive import read_members
from pipeline.core.arguments import command_parser
from pipeline.core.artifacts import SPLITS, Prediction, Predictions, read_predictions, write_csv
from pipeline.core.layout import Layout
from pipeline.core.process import guarded
from pipeline.data.corrections import COLUMNS, read_corrections

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One image whose label may be wrong."""

    row: Prediction
    split: str
    suggested: str
    """The class that it may rather be."""
    margin: float
    """Probability of the label less that of the likeliest other class, in [-1, 1]."""
    above: bool
    """The rule of confident learning takes the label for wrong."""


def rank_suspects(
    predictions: Mapping[str, Predictions], *, leave_out: Collection[str] = ()
) -> tuple[Suspect, ...]:
    """Return every image, those above the threshold first, then by margin, the smallest first.

    Each split has thresholds of its own. Those of `train` come from the other splits: on images
    that the network learned from it is surer than its knowledge warrants, and thresholds from there
    would let wrong labels that it has half learned by heart pass.

    Args:
        predictions: by split; those of `train` are in-sample.
        leave_out: paths, mostly of images whose label a person has given or confirmed.
    """
    known = {split: _arrays(rows) for split, rows in predictions.items() if rows.rows}
    outside = [arrays for split, arrays in known.items() if split != "train"]
    fresh = self_confidence(*map(np.concatenate, zip(*outside, strict=True))) if outside else None
    found = []
    for split, (probs, labels) in known.items():
        doubts = doubt(probs, labels, thresholds=fresh if split == "train" else None)
        found += _suspects(predictions[split], split, labels, doubts)
    kept = (suspect for suspect in found if suspect.row.path not in leave_out)
    return tuple(sorted(kept, key=lambda s: (not s.above, s.margin, s.row.path)))


def _arrays(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    index = {name: k for k, name in enumerate(predictions.classes)}
    probs = np.array([row.probs for row in predictions.rows], np.float64)
    return probs, np.array([index[row.label] for row in predictions.rows], np.int64)


def _suspects(
    predictions: Predictions, split: str, labels: np.ndarray, doubts: Doubts
) -> list[Suspect]:
    above = doubts.true != labels
    best = np.where(above, doubts.true, doubts.rivals)
    return [
        Suspect(
            row=row,
            split=split,
            suggested=predictions.classes[best[i]],
            margin=float(doubts.margins[i]),
            above=bool(above[i]),
        )
        for i, row in enumerate(predictions.rows)
    ]


def read_all_predictions(layout: Layout) -> dict[str, Predictions]:
    """Return the predictions of each split; errors as in `read_predictions`."""
    paths = (layout.train_predictions, layout.valid_predictions, layout.predictions)
    return {split: read_predictions(path) for split, path in zip(SPLITS, paths, strict=True)}


def main(arguments: Sequence[str] | None = None, *, layout: Layout | None = None) -> None:
    """Print or write the corrections that the suspects above the threshold call for."""
    layout = layout or Layout()
    parser = command_parser("pipeline.analysis.suspects", description=__doc__)
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="add them to this file's rows, mostly data/corrections.csv",
    )
    target: Path | None = parser.parse_args(arguments).write
    members = read_members(layout.raw_archive)
    ranked = rank_suspects(
        read_all_predictions(layout),
        leave_out=settled(as_marks(read_corrections(layout.corrections, members))),
    )
    marks = {s.row.path: ("relabel", s.suggested) for s in ranked if s.above}
    names = unambiguous_names(members)
    if target is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows([COLUMNS, *as_rows(marks, names)])
    else:
        known = as_marks(read_corrections(target, members)) if target.exists() else {}
        write_csv(target, COLUMNS, as_rows(merged(known, marks), names))
    log.info(
        "%d of %d images have a label that the network surely contradicts%s; look at each in %s",
        len(marks), len(ranked), f", written to {target}" if target else "", layout.report,
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(guarded(main, name="suspects"))
