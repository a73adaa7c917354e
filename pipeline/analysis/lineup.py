"""The test images in a row, from surely wrong to surely right: a histogram made of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.analysis.rankings import draw, is_right
from pipeline.core.artifacts import Prediction, Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The images whose true class got a probability in one interval."""

    low: float
    high: float
    """Upper end; belongs to the interval in the last column only."""
    n: int
    n_wrong: int
    rows: tuple[Prediction, ...]
    """A random few of the n, the lowest probability first."""


def prob_of_label(row: Prediction, classes: Sequence[str]) -> float:
    """Return the probability that the model gave to the true class."""
    return row.probs[classes.index(row.label)]


def line_up(predictions: Predictions, *, columns: int, depth: int, seed: int) -> list[Column]:
    """Sort all images into `columns` equal intervals of the probability of their true class.

    Args:
        predictions: of one split.
        columns: number of intervals over [0, 1].
        depth: how many images of each interval are drawn to be shown.
        seed: of that draw.
    """
    binned: list[list[Prediction]] = [[] for _ in range(columns)]
    for row in predictions.rows:
        prob = prob_of_label(row, predictions.classes)
        binned[min(int(prob * columns), columns - 1)].append(row)  # 1.0 belongs to the last
    return [
        Column(
            low=index / columns,
            high=(index + 1) / columns,
            n=len(rows),
            n_wrong=sum(not is_right(row) for row in rows),
            rows=tuple(
                sorted(
                    draw(rows, n=depth, seed=seed),
                    key=lambda row: (prob_of_label(row, predictions.classes), row.path),
                )
            ),
        )
        for index, rows in enumerate(binned)
    ]
