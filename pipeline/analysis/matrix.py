"""The confusion matrix as the page shows it, bounded for many classes."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.analysis.ranking import Counts

MAX_CLASSES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One pair of classes."""

    label: int
    predicted: int
    count: int
    share: float
    """Of the images of the true class, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Rows of cells, true class by row, predicted class by column."""

    classes: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    n_classes: int
    """Of all classes, shown or not."""


def confusion_matrix(counts: Counts, classes: Sequence[str]) -> Matrix:
    """Return the cells to show; of more than `MAX_CLASSES`, those with the most mistakes.

    Args:
        counts: (K, K) images, true class by row, predicted class by column.
        classes: K names.
    """
    diagonal = counts.diagonal()
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * diagonal
    worst = sorted(range(len(classes)), key=lambda k: -int(mistakes[k]))[:MAX_CLASSES]
    shown = sorted(worst)
    totals = counts.sum(axis=1)
    return Matrix(
        classes=tuple(classes[k] for k in shown),
        rows=tuple(
            tuple(
                Cell(
                    label=i,
                    predicted=j,
                    count=int(counts[i, j]),
                    share=float(counts[i, j]) / max(1, int(totals[i])),
                )
                for j in shown
            )
            for i in shown
        ),
        n_classes=len(classes),
    )
