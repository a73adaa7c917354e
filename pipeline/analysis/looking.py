"""Where the network looked, for the images that the page shows with what the network said."""

from collections.abc import Mapping

import numpy as np

from pipeline.analysis.overlay import Veil, veil
from pipeline.analysis.selection import Selection
from pipeline.analysis.thumbnails import Thumbnail
from pipeline.core.artifacts import SPLITS, Prediction
from pipeline.insight.attribution import heat_maps
from pipeline.modeling.zoo import Classifier
from pipeline.packing.packed import Packed

MAX_VEILS = 1000


def veils(
    model: Classifier,
    packed: Packed,
    selection: Selection,
    thumbnails: Mapping[str, Thumbnail],
) -> dict[str, Veil]:
    """Return a veil by path: for the suspects, the panels and the gallery, up to `MAX_VEILS`.

    What is explained is the class that the network predicted.

    Args:
        model: the network.
        packed: the pixels that it saw.
        selection: which images the page shows.
        thumbnails: of these images, by path.
    """
    found: dict[str, Veil] = {}
    for split, rows in _wanted(selection).items():
        pixels = getattr(packed, split).pixels
        places = {path: row for row, path in enumerate(getattr(packed, split).paths)}
        indices = np.array([places[row.path] for row in rows], np.int64)
        classes = np.array([packed.classes.index(row.predicted) for row in rows], np.int64)
        for row, heat in zip(rows, heat_maps(model, pixels[indices], classes), strict=True):
            thumb = thumbnails[row.path]
            found[row.path] = veil(heat, over=thumb, fit=packed.preprocess.fit)
    return found


def _wanted(selection: Selection) -> dict[str, list[Prediction]]:
    """Return the rows to explain by split; what is most looked at comes first."""
    wanted = {suspect.row.path: (suspect.split, suspect.row) for suspect in selection.suspects}
    for panel in selection.panels:
        wanted |= {row.path: ("test", row) for row in panel.rows}
    wanted |= {row.path: ("test", row) for row in selection.gallery}
    chosen = list(wanted.values())[:MAX_VEILS]
    return {name: [row for split, row in chosen if split == name] for name in SPLITS}
