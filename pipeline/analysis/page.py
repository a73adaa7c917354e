"""The page for people: one HTML file that needs nothing beside it."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from jinja2 import Environment

from pipeline.analysis import advice, calibration_charts, charts, dataset, matrix, ranking
from pipeline.analysis.figures import Figures, figure, grouped, percent
from pipeline.analysis.findings import Findings
from pipeline.analysis.mending import settled
from pipeline.analysis.overlay import Veil
from pipeline.analysis.parts import slices_by_path
from pipeline.analysis.selection import Selection
from pipeline.analysis.thumbnails import Thumbnail
from pipeline.core.artifacts import SPLITS, Prediction
from pipeline.evaluation.html import environment
from pipeline.modeling.advice import advise, overfitting_epochs

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("marks.js", "gallery.js", "keys.js")
MAX_REJECTED = 200
MAX_CONFUSED = 20
ALL_BARS = 3
"""With at most so many classes a card shows every probability, in the order of the classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The probability of one class on a card."""

    name: str
    prob: float
    is_label: bool


def render(
    findings: Findings,
    selection: Selection,
    images: Mapping[str, Thumbnail],
    veils: Mapping[str, Veil],
) -> str:
    """Return the page as HTML; equal arguments give equal bytes.

    Args:
        findings: what the page reports.
        selection: which images it shows.
        images: a thumbnail for each path of the selection.
        veils: where the network looked, for paths of the gallery and the suspects.
    """
    script = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return _environment(findings.figures).get_template("page.html").render(
        found=findings,
        selection=selection,
        images=images,
        veils=veils,
        script=script,
        script_digest=digest,
        splits=SPLITS,
        class_index={name: k for k, name in enumerate(findings.spec.classes)},
        facts=_facts(findings),
        spec_facts=asdict(findings.spec),
        **_data(findings),
        **_training(findings),
        **_confusion(findings, selection),
        **_calibration(findings),
        **_suspects(findings, selection),
    )  # fmt: skip


def bars(row: Prediction, classes: Sequence[str]) -> list[Bar]:
    """Return the probabilities that a card shows: the largest three, and the label's."""
    found = [
        Bar(name=name, prob=prob, is_label=name == row.label)
        for name, prob in zip(classes, row.probs, strict=True)
    ]
    if len(found) <= ALL_BARS:
        return found
    found.sort(key=lambda bar: -bar.prob)
    return found[:ALL_BARS] + [bar for bar in found[ALL_BARS:] if bar.is_label]


def _facts(findings: Findings) -> dict[str, object]:
    """Return what the page's script needs to know; `key` names the data in the browser's store."""
    return {
        "classes": findings.spec.classes,
        "marks": findings.marks,
        "names": findings.names,
        "key": f"corrections {findings.origin.checksums['raw.zip']}",
    }


def _data(findings: Findings) -> dict[str, object]:
    counts = dataset.class_counts(findings.samples, findings.spec.classes)
    totals = [sum(row.counts[s] for row in counts) for s in range(len(SPLITS))]
    return {
        "class_counts": counts,
        "split_totals": totals,
        "rejected": findings.rejected[:MAX_REJECTED],
        "reasons": dataset.reasons(findings.rejected),
        "n_set_aside": len(dataset.set_aside(findings.rejected)),
        "n_groups": len(dataset.groups_of_several(findings.samples)),
    }


def _training(findings: Findings) -> dict[str, object]:
    history = findings.history
    return {
        "lr_chart": charts.lr_chart(
            findings.curve, suggested=findings.suggestion.lr, sweeps=findings.sweeps
        ),
        "lr_words": advice.describe_suggestion(findings.suggestion, findings.lr_reason),
        "loss_chart": charts.loss_chart(history, shaded=overfitting_epochs(history)),
        "accuracy_chart": charts.accuracy_chart(history),
        "rate_chart": charts.rate_chart(history),
        "advice": advise(history),
        "kept": next((record for record in history if record.kept), None),
    }


def _confusion(findings: Findings, selection: Selection) -> dict[str, object]:
    classes = findings.spec.classes
    counts = ranking.confusion_counts(findings.predictions)
    traits = dict.fromkeys(part.name for part in findings.slices if part.name != "class")
    lowest = min((part.row.accuracy_low for part in findings.slices), default=0.0)
    return {
        "matrix": matrix.confusion_matrix(counts, classes),
        "confused": ranking.most_confused(counts, classes, n=MAX_CONFUSED),
        "n_wrong": int(counts.sum() - counts.trace()),
        "n_wrong_shown": sum(not ranking.is_right(row) for row in selection.gallery),
        "traits": {name: [s for s in findings.slices if s.name == name] for name in traits},
        "floor": min(90, 10 * int(10 * lowest)),
        "slices_of": slices_by_path(findings.slices),
    }


def _calibration(findings: Findings) -> dict[str, object]:
    threshold = findings.figures.at("threshold")
    return {
        "threshold": threshold,
        "reliability_chart": calibration_charts.reliability_chart(findings.reliability),
        "risk_chart": calibration_charts.risk_chart(findings.risk, threshold=threshold),
    }


def _suspects(findings: Findings, selection: Selection) -> dict[str, object]:
    above = Counter(suspect.split for suspect in findings.suspects if suspect.above)
    return {
        "n_above": above.total(),
        "above_by_split": [(split, above[split]) for split in SPLITS],
        "shown_above": [suspect for suspect in selection.suspects if suspect.above],
        "shown_below": [suspect for suspect in selection.suspects if not suspect.above],
        "n_settled": len(settled(findings.marks)),
    }


def _environment(figures: Figures) -> Environment:
    made = environment(TEMPLATES)
    made.filters |= {"percent": percent, "grouped": grouped}
    made.globals |= {
        "bars": bars,
        "figure": partial(figure, figures),
        "chart_box": f"0 0 {charts.WIDTH} {charts.HEIGHT}",
        "plot": {n: getattr(charts, n) for n in ("LEFT", "RIGHT", "TOP", "BOTTOM")},
        "pretty": partial(json.dumps, ensure_ascii=False),
    }
    return made
