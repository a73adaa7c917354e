"""Two pictures laid over each other: do they show the same, up to their margins and encoding?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.data.correlation import correlation

BASE_PX, VIEW_PX = 96, 48
MAX_MARGIN = 0.12
"""What may have been cut off each side, as a share of it."""
FIRST_STEP = 0.04
FINER_STEPS = (0.02, 0.01, 0.005)
NONE_MOVED, ONE_MOVED = 42.0, 30.0
"""Mean difference in levels, before the search and after its best first move: beyond hope."""
GIVE_UP = {0.04: 25.0, 0.02: 14.0}
"""The same, by step, after the search with that step."""
MAX_DIFFERENCE = 8.0
"""Levels of 255, gray; copies were seen to differ by up to 5, other pictures by 11 and more."""
MAX_COLOUR_DIFFERENCE = 10.0
MIN_CORRELATION = 0.96
"""Copies have 0.977 and more, other pictures up to 0.946."""

View = NDArray[np.float32]
Margins = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of the side."""
NONE: Margins = (0.0, 0.0, 0.0, 0.0)
Move = tuple[tuple[int, int, float], ...]
"""Which picture, which of its margins, by how much."""


def show_the_same(first: Image.Image, second: Image.Image, *, mirrored: bool = False) -> bool:
    """Tell whether one RGB image is a copy of the other.

    Either may have been encoded again, resized (the sides independently) and cropped by up to 12 %
    a side. The margins are searched for step by step where the mean difference falls.

    Args:
        first: an image.
        second: another one.
        mirrored: compare with the mirrored second image.
    """
    images = (first, ImageOps.mirror(second) if mirrored else second)
    grays = _Pair(*(image.convert("L") for image in images))
    margins = _search(grays)
    return (
        margins is not None
        and grays.difference(margins) <= MAX_DIFFERENCE
        and grays.correlation(margins) >= MIN_CORRELATION
        and _Pair(*images).difference(margins) <= MAX_COLOUR_DIFFERENCE
    )


@dataclass(frozen=True, slots=True)
class _Both:
    """The margins of both pictures."""

    first: Margins = NONE
    second: Margins = NONE


class _Pair:
    """Two pictures, seen without some margins."""

    def __init__(self, first: Image.Image, second: Image.Image) -> None:
        size = (BASE_PX, BASE_PX)
        self._bases = [image.resize(size, Image.Resampling.BOX) for image in (first, second)]
        self._views: tuple[dict[Margins, View], dict[Margins, View]] = ({}, {})

    def difference(self, margins: _Both) -> float:
        """Return the mean difference, in levels."""
        first, second = self._view(0, margins.first), self._view(1, margins.second)
        return float(np.abs(first - second).mean())

    def correlation(self, margins: _Both) -> float:
        """Return the correlation of the brightness."""
        views = self._view(0, margins.first), self._view(1, margins.second)
        return float(correlation(*(view.reshape(1, -1) for view in views))[0])

    def _view(self, which: int, margins: Margins) -> View:
        seen = self._views[which]
        if margins not in seen:
            left, top, right, bottom = (BASE_PX * margin for margin in margins)
            box = (left, top, BASE_PX - right, BASE_PX - bottom)
            size = (VIEW_PX, VIEW_PX)
            view = self._bases[which].resize(size, Image.Resampling.BILINEAR, box)
            seen[margins] = np.asarray(view, dtype=np.float32)
        return seen[margins]


def _search(pair: _Pair) -> _Both | None:
    """Return the margins without which the pictures differ least, None if that is hopeless."""
    best = _Both()
    if pair.difference(best) > NONE_MOVED:
        return None
    # The first move decides the direction, so it is the best of all.
    best = min((_moved(best, move) for move in _moves(FIRST_STEP)), key=pair.difference)
    if pair.difference(best) > ONE_MOVED:
        return None
    for step in (FIRST_STEP, *FINER_STEPS):
        best = _improved(pair, best, step)
        if pair.difference(best) > GIVE_UP.get(step, np.inf):
            return None
    return best


def _improved(pair: _Pair, best: _Both, step: float) -> _Both:
    """Move margins by a step for as long as that brings the pictures closer."""
    difference = pair.difference(best)
    while True:
        before = difference
        for move in _moves(step):
            changed = _moved(best, move)
            if (now := pair.difference(changed)) < difference:
                best, difference = changed, now
        if difference >= 0.99 * before:
            return best


def _moves(step: float) -> Iterator[Move]:
    """Yield each margin alone, wider and narrower, and opposite ones of both, which is a shift."""
    for by in (step, -step):
        for side in range(4):
            yield ((0, side, by),)
            yield ((1, side, by),)
            yield (0, side, by), (1, (side + 2) % 4, by)


def _moved(margins: _Both, move: Move) -> _Both:
    """Return margins after a move; unchanged where it cannot be made."""
    both = [list(margins.first), list(margins.second)]
    for which, side, by in move:
        moved = round(both[which][side] + by, 3)
        if not 0 <= moved <= MAX_MARGIN:
            return margins
        both[which][side] = moved
    return _Both(_margins(both[0]), _margins(both[1]))


def _margins(sides: list[float]) -> Margins:
    left, top, right, bottom = sides
    return left, top, right, bottom
