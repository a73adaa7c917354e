"""What an image looks like, in a few hundred bytes: enough to find others that may be the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

SIDE_PX = 32
HASH_SIDE = 8
THUMBNAIL_SIDE_PX = 16
SHARPNESS_ROWS = 16

_MIRROR_SIGNS = (-1.0) ** np.arange(HASH_SIDE)
"""Mirroring changes the sign of a cosine transform's odd columns, and nothing else."""
_BITS = np.left_shift(np.uint64(1), np.arange(HASH_SIDE**2, dtype=np.uint64)[::-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One image's looks."""

    phash: int
    """64 bits: images that look alike differ in few of them."""
    mirrored: int
    """The pHash of the mirrored image."""
    thumbnail: bytes
    """Brightness, 16 x 16, row by row."""
    brightness: float
    """Mean luma, 0 (black) to 255 (white)."""
    sharpness: float
    """Root mean square of the second difference along 16 rows, in gray levels; blur lowers it."""


def look_at(image: Image.Image) -> Look:
    """Return the looks of an RGB image."""
    gray = image.convert("L")
    # BOX weighs every pixel once, so that a picture and its mirror image have mirrored thumbnails.
    small = gray.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float64)
    low = dctn(pixels)[:HASH_SIDE, :HASH_SIDE]
    return Look(
        phash=_phash(low),
        mirrored=_phash(low * _MIRROR_SIGNS),
        thumbnail=small.reduce(SIDE_PX // THUMBNAIL_SIDE_PX).tobytes(),
        brightness=round(float(pixels.mean()), 2),
        sharpness=_sharpness(gray),
    )


def _phash(low: NDArray[np.float64]) -> int:
    """Return 64 bits: which of the lowest frequencies are stronger than their median.

    Source: Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions, section
    3.2.1, with the median over all 64, as the library ImageHash has it.
    """
    flat = low.ravel()
    middle = np.partition(flat, (31, 32))[31:33].mean()  # np.median of 64, at a fifth of its time
    return int(_BITS[flat > middle].sum())


def _sharpness(gray: Image.Image) -> float:
    sampled = gray.resize((gray.width, SHARPNESS_ROWS), Image.Resampling.NEAREST)
    rows = np.asarray(sampled).astype(np.int16)
    second = 2 * rows[:, 1:-1] - rows[:, :-2] - rows[:, 2:]
    return round(float(np.sqrt(np.mean(np.square(second, dtype=np.float32)))), 2)
