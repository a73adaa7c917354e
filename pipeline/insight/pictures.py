"""Arrays as small PNG pictures."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]
GAP_PX = 1
COLOURS = 64
"""Of a palette: photographs compress to a third, and nobody sees it in a tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG in base64, with what it shows for those who cannot see it."""

    data: str
    width: int
    height: int
    alt: str


def picture(pixels: Bytes, *, alt: str, palette: bool = False) -> Picture:
    """Return a picture of grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4) pixels.

    Args:
        pixels: uint8.
        alt: what it shows.
        palette: reduce it to `COLOURS` colours.
    """
    image = Image.fromarray(pixels)
    if palette:
        image = image.quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(data=data, width=image.width, height=image.height, alt=alt)


def signed(values: Floats, *, largest: float | None = None) -> Bytes:
    """Return uint8 in which 0 is middle grey and the largest magnitude black or white.

    Args:
        values: of any shape.
        largest: the magnitude that becomes black or white; by default that of the values.
    """
    scale = (float(np.abs(values).max(initial=0.0)) if largest is None else largest) or 1.0
    grey = 127.5 + 127.5 * (values.astype(np.float64) / scale).clip(-1, 1)
    found: Bytes = grey.round().astype(np.uint8)
    return found


def mosaic(tiles: Sequence[Bytes], *, columns: int) -> Bytes:
    """Return tiles of one size, grey or RGB, side by side as RGBA, the gaps transparent."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 4))
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + GAP_PX), index % columns * (width + GAP_PX)
        place = sheet[top : top + height, left : left + width]
        place[..., :3] = tile if tile.ndim == 3 else tile[..., None]
        place[..., 3] = 255
    return sheet.astype(np.uint8)


def shrunk(pixels: Bytes, *, side_px: int) -> Bytes:
    """Return pixels no larger than `side_px` a side, in their own proportions."""
    image = Image.fromarray(pixels)
    image.thumbnail((side_px, side_px), Image.Resampling.BOX)
    return np.asarray(image)
