"""Which images are worth a look: right, wrong, sure and unsure ones.

The six panels of fast.ai's lesson 1, for any number of classes. Ties are broken by path.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Protocol

from pipeline.core.artifacts import Prediction


class ClassRanking(Protocol):
    """A choice of images of one class."""

    def __call__(self, rows: Sequence[Prediction], label: str, *, n: int) -> list[Prediction]:
        """Return up to `n` images of the class `label`."""


def is_right(row: Prediction) -> bool:
    """Tell whether the predicted class is the label."""
    return row.predicted == row.label


def right_at_random(rows: Sequence[Prediction], *, n: int, seed: int) -> list[Prediction]:
    """Return up to `n` rightly classified images, drawn without replacement."""
    return draw([row for row in rows if is_right(row)], n=n, seed=seed)


def wrong_at_random(rows: Sequence[Prediction], *, n: int, seed: int) -> list[Prediction]:
    """Return up to `n` wrongly classified images, drawn without replacement."""
    return draw([row for row in rows if not is_right(row)], n=n, seed=seed)


def surest_right(rows: Sequence[Prediction], label: str, *, n: int) -> list[Prediction]:
    """Return the `n` images of a class that the model was right about with most confidence."""
    return _surest((row for row in rows if row.label == label and is_right(row)), n)


def surest_wrong(rows: Sequence[Prediction], label: str, *, n: int) -> list[Prediction]:
    """Return the `n` images of a class that the model was wrong about with most confidence."""
    return _surest((row for row in rows if row.label == label and not is_right(row)), n)


def least_sure(rows: Sequence[Prediction], *, n: int) -> list[Prediction]:
    """Return the `n` images whose predicted class has the lowest probability.

    With two classes these are the images nearest to 50 %.
    """
    return sorted(rows, key=lambda row: (row.confidence, row.path))[:n]


def top_losses(rows: Sequence[Prediction], *, n: int) -> list[Prediction]:
    """Return the `n` images with the highest loss, highest first."""
    return sorted(rows, key=lambda row: (-row.loss, row.path))[:n]


def draw(rows: Iterable[Prediction], *, n: int, seed: int) -> list[Prediction]:
    """Return up to `n` rows at random, whatever order they come in."""
    ordered = sorted(rows, key=lambda row: row.path)
    return random.Random(seed).sample(ordered, min(n, len(ordered)))


def _surest(rows: Iterable[Prediction], n: int) -> list[Prediction]:
    return sorted(rows, key=lambda row: (-row.confidence, row.path))[:n]
