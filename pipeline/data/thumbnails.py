"""Do the thumbnails of two pictures show the same, as they are or without some margins?

Of thumbnails alone, so that a pair costs microseconds, where the pictures themselves would have to
be decoded. docs/duplicates.md has the figures behind the numbers.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.data import correlation as pearson
from pipeline.data.correlation import Values
from pipeline.data.look import THUMBNAIL_SIDE_PX

MARGIN = 0.06
"""What is cut off a side, as a share of it: one pixel of a thumbnail."""
PIXELS = THUMBNAIL_SIDE_PX**2
VIEW_PX = 8
PAIRS_AT_ONCE = 256

Thumbnails = NDArray[np.uint8]
_CUTS = ((0.0, 0.0), (MARGIN, 0.0), (0.0, MARGIN), (MARGIN, MARGIN))
"""What is cut off both ends of an axis."""


def correlation(first: Thumbnails, second: Thumbnails) -> Values:
    """Return the correlation of each pair as it is, (N,).

    Args:
        first: (N, 16, 16), brightness.
        second: the same.
    """
    return pearson.correlation(
        *(each.astype(np.float32).reshape(-1, PIXELS) for each in (first, second))
    )


def best_correlation(first: Thumbnails, second: Thumbnails) -> Values:
    """Return the highest correlation of each pair over 81 ways to cut the two to the same part.

    Along each axis either picture loses a margin, or each another one, which is a shift.

    Args:
        first: (N, 16, 16), brightness.
        second: the same.
    """
    best = np.empty(len(first), np.float32)
    for start in range(0, len(first), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        a, a_spread = pearson.centred(_views(first[part]))
        b, b_spread = pearson.centred(_views(second[part]))
        products = a @ b.transpose(0, 2, 1) / VIEW_PX**2
        scores = pearson.scores(products, a_spread[:, :, None], b_spread[:, None, :])
        best[part] = scores.reshape(len(a), -1)[:, _POSSIBLE].max(1)
    return best


def _views(thumbnails: Thumbnails) -> Values:
    """Return every view of each thumbnail, (N, 16 views, 64): cut along both axes, then reduced."""
    n, side, cuts = len(thumbnails), THUMBNAIL_SIDE_PX, len(_CUTS)
    # Two large matrix products; many small ones would take longer.
    columns = thumbnails.astype(np.float32).reshape(n * side, side) @ _REDUCE.T
    columns = columns.reshape(n, side, -1).transpose(0, 2, 1).reshape(-1, side)
    views = (columns @ _REDUCE.T).reshape(n, cuts, VIEW_PX, cuts, VIEW_PX)
    return views.transpose(0, 1, 3, 2, 4).reshape(n, cuts**2, VIEW_PX**2)


def _reduce() -> Values:
    """Return the matrix that cuts an axis in each way and averages the rest over 8 pixels."""
    edges = np.arange(THUMBNAIL_SIDE_PX)
    rows = []
    for low, high in _CUTS:
        ends = THUMBNAIL_SIDE_PX * np.linspace(low, 1 - high, VIEW_PX + 1)
        covered = np.minimum(ends[1:, None], edges + 1) - np.maximum(ends[:-1, None], edges)
        covered = covered.clip(0)
        rows.append(covered / covered.sum(1, keepdims=True))
    return np.concatenate(rows).astype(np.float32)


def _possible() -> NDArray[np.intp]:
    """Return which of the 16 x 16 pairs of views cut no margin off both pictures."""
    once = np.array([[not (a and c) and not (b and d) for c, d in _CUTS] for a, b in _CUTS])
    return np.flatnonzero(once[:, None, :, None] & once[None, :, None, :])


_REDUCE, _POSSIBLE = _reduce(), _possible()
