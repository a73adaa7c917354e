"""Which images are worth looking at: right, wrong, surest, least sure, most confused."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from pipeline.core.artifacts import Prediction, Predictions

Counts = NDArray[np.int64]
Rows = tuple[Prediction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """How often one class was taken for another."""

    label: str
    predicted: str
    count: int


def is_right(row: Prediction) -> bool:
    """Tell whether the prediction is the label."""
    return row.predicted == row.label


def at_random(predictions: Predictions, *, right: bool, n: int, seed: int) -> Rows:
    """Return at most n rows that are right, or wrong, drawn without replacement."""
    rows = [row for row in predictions.rows if is_right(row) == right]
    return tuple(random.Random(seed).sample(rows, min(n, len(rows))))


def surest_right(predictions: Predictions, *, n: int) -> dict[str, Rows]:
    """Return, per true class, the right rows of highest confidence, the surest first."""
    return {
        name: tuple(sorted(rows, key=lambda row: (-row.confidence, row.loss, row.path))[:n])
        for name, rows in _per_label(predictions, right=True).items()
    }


def surest_wrong(predictions: Predictions, *, n: int) -> dict[str, Rows]:
    """Return, per true class, the wrong rows of highest confidence, the surest first."""
    return {
        name: tuple(sorted(rows, key=_surest_wrong_first)[:n])
        for name, rows in _per_label(predictions, right=False).items()
    }


def least_sure(predictions: Predictions, *, n: int) -> Rows:
    """Return the rows of lowest confidence, right or wrong, the least sure first."""
    return tuple(sorted(predictions.rows, key=lambda row: (row.confidence, row.path))[:n])


def confusion_counts(predictions: Predictions) -> Counts:
    """Return the (K, K) numbers of images, true class by row, predicted class by column."""
    index = {name: k for k, name in enumerate(predictions.classes)}
    counts = np.zeros((len(index), len(index)), dtype=np.int64)
    for row in predictions.rows:
        counts[index[row.label], index[row.predicted]] += 1
    return counts


def most_confused(counts: Counts, classes: Sequence[str], *, n: int) -> tuple[Confusion, ...]:
    """Return the n largest cells off the diagonal, the largest first.

    Args:
        counts: (K, K) what `confusion_counts` returned.
        classes: K names.
        n: how many.
    """
    pairs = [
        Confusion(label=classes[i], predicted=classes[j], count=int(counts[i, j]))
        for i, j in zip(*map(np.ndarray.tolist, np.nonzero(counts)), strict=True)
        if i != j
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.count)[:n])  # stable: ties in class order


def wrong_of_every_kind(predictions: Predictions, *, n: int) -> Rows:
    """Return at most n wrong rows, spread evenly over the pairs (label, predicted).

    First the surest of each pair, then the second of each, and so on.
    """
    pairs: dict[tuple[str, str], list[Prediction]] = {}
    for row in sorted(predictions.rows, key=_surest_wrong_first):
        if not is_right(row):
            pairs.setdefault((row.label, row.predicted), []).append(row)
    turns = zip_longest(*(pairs[pair] for pair in sorted(pairs)))
    return tuple(row for turn in turns for row in turn if row is not None)[:n]


def without_repeats(rows: Iterable[Prediction]) -> Rows:
    """Return the rows, each path once, in order of loss, the largest first."""
    unique = {row.path: row for row in rows}
    return tuple(sorted(unique.values(), key=lambda row: (-row.loss, row.path)))


def _surest_wrong_first(row: Prediction) -> tuple[float, float, str]:
    return -row.confidence, -row.loss, row.path


def _per_label(predictions: Predictions, *, right: bool) -> Mapping[str, list[Prediction]]:
    rows: dict[str, list[Prediction]] = {name: [] for name in predictions.classes}
    for row in predictions.rows:
        if is_right(row) == right:
            rows[row.label].append(row)
    return rows
