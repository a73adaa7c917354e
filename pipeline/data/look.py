"""What an image looks like, in a few hundred bytes: enough to find others that may be the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE_PX = 32
HASH_SIDE = 8
THUMBNAIL_SIDE_PX = 16
SHARPNESS_ROWS = 16

_COSINES = 2 * np.cos(np.pi / SIDE_PX * np.outer(np.arange(HASH_SIDE), np.arange(SIDE_PX) + 0.5))
"""The lowest rows of the DCT-II, as scipy.fft.dct scales it: eight of 32 are all that is needed."""
_DIGITS = 6  # what rounding leaves of a flat image is no pattern
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
    low = (_COSINES @ pixels @ _COSINES.T).round(_DIGITS)
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
    rows = np.asarray(sampled, dtype=np.float32)
    second = (2 * rows[:, 1:-1] - rows[:, :-2] - rows[:, 2:]).ravel()
    return round(float(np.sqrt(second @ second / second.size)), 2)
