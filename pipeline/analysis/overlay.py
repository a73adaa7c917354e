"""Where the network looked, as a veil over a thumbnail: dark where it did not look."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.analysis.thumbnails import Thumbnail
from pipeline.insight.pictures import picture

VEIL_SIDE_PX = 32
"""A map of a few values a side, made smooth; the browser scales it up."""
DARKEST = 0.78
GAMMA = 0.7
"""Below 1: what was looked at a little is not yet dark."""
LEVELS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Veil:
    """A black PNG of varying opacity, and its place on the thumbnail in the thumbnail's pixels."""

    number: int
    x: float
    y: float
    width: float
    height: float
    data: str


def veil(heat: NDArray[np.floating[Any]], *, over: Thumbnail, fit: str) -> Veil:
    """Return the veil of one image.

    Args:
        heat: (h, w) in [0, 1], 1 where the network looked most.
        over: the image's thumbnail, in the image's own proportions.
        fit: how the image became the square that the network saw; see `imaging.preprocess`.
    """
    width, height = float(over.width), float(over.height)
    x, y, w, h = 0.0, 0.0, width, height
    if fit in ("crop", "pad"):
        w = h = min(width, height) if fit == "crop" else max(width, height)
        x, y = (width - w) / 2, (height - h) / 2
    drawn = picture(_black(heat), alt="")
    return Veil(number=over.number, x=x, y=y, width=w, height=h, data=drawn.data)


def _black(heat: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Return (H, W, 2) black and its opacity."""
    seen = Image.fromarray(np.asarray(heat, np.float32)).resize(
        (VEIL_SIDE_PX, VEIL_SIDE_PX), Image.Resampling.BICUBIC
    )
    opacity = DARKEST * (1 - np.clip(np.asarray(seen), 0, 1) ** GAMMA)
    steps = np.round(opacity * LEVELS) / LEVELS  # fewer bytes, and no step to be seen
    opaque = (255 * steps).round().astype(np.uint8)
    return np.stack([np.zeros_like(opaque), opaque], axis=2)
