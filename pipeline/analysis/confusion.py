"""Which class is taken for which."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.artifacts import Predictions

Counts = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How often images of `label` were called `predicted`."""

    label: str
    predicted: str
    n: int
    share: float
    """Of the images of `label`, in [0, 1]."""

    @property
    def right(self) -> bool:
        """Whether the cell lies on the diagonal."""
        return self.label == self.predicted


def count_pairs(predictions: Predictions) -> Counts:
    """Return how many images each (label, predicted) pair has; absent pairs have none."""
    return Counter((row.label, row.predicted) for row in predictions.rows)


def confusion_rows(predictions: Predictions, *, max_classes: int) -> list[list[Cell]]:
    """Return the confusion matrix, a row a label and a column a predicted class.

    Of more than `max_classes` classes, those that take part in most mistakes are shown.
    """
    counts, totals = count_pairs(predictions), _totals(predictions)
    shown = _shown_classes(predictions, counts, max_classes)
    return [[_cell(a, b, counts, totals) for b in shown] for a in shown]


def most_confused(predictions: Predictions, *, n: int) -> list[Cell]:
    """Return the `n` most frequent kinds of mistake, most frequent first."""
    counts, totals = count_pairs(predictions), _totals(predictions)
    wrong = [_cell(a, b, counts, totals) for a, b in counts if a != b]
    return sorted(wrong, key=lambda cell: (-cell.n, -cell.share, cell.label, cell.predicted))[:n]


def _cell(label: str, predicted: str, counts: Counts, totals: Mapping[str, int]) -> Cell:
    n = counts.get((label, predicted), 0)
    return Cell(label=label, predicted=predicted, n=n, share=n / max(totals.get(label, 0), 1))


def _totals(predictions: Predictions) -> Mapping[str, int]:
    return Counter(row.label for row in predictions.rows)


def _shown_classes(predictions: Predictions, counts: Counts, max_classes: int) -> list[str]:
    mistakes: Counter[str] = Counter()
    for (label, predicted), n in counts.items():
        if label != predicted:
            mistakes[label] += n
            mistakes[predicted] += n
    order = {name: index for index, name in enumerate(predictions.classes)}
    chosen = sorted(predictions.classes, key=lambda name: (-mistakes[name], order[name]))
    return sorted(chosen[:max_classes], key=lambda name: order[name])
