"""The test images in a row, from surely wrong to surely right: a histogram made of pictures."""

import random
from dataclasses import dataclass

from pipeline.analysis.ranking import Rows
from pipeline.core.artifacts import Prediction, Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The images whose true class got a probability in one interval."""

    low: float
    high: float
    """Upper end; belongs to the interval in the last column only."""
    n: int
    rows: Rows
    """A random few of the n, the highest probability first."""


def line_up(predictions: Predictions, *, columns: int, depth: int, seed: int) -> tuple[Column, ...]:
    """Return the images by the probability of their true class, in equal intervals over [0, 1].

    Args:
        predictions: of one split.
        columns: how many intervals.
        depth: how many images of each interval are drawn to be shown.
        seed: of that draw.
    """
    index = {name: k for k, name in enumerate(predictions.classes)}
    binned: list[list[Prediction]] = [[] for _ in range(columns)]
    for row in predictions.rows:
        prob = row.probs[index[row.label]]
        binned[min(int(prob * columns), columns - 1)].append(row)  # 1.0 belongs to the last
    draw = random.Random(seed)
    return tuple(
        Column(
            low=k / columns,
            high=(k + 1) / columns,
            n=len(rows),
            rows=tuple(
                sorted(
                    draw.sample(rows, min(depth, len(rows))),
                    key=lambda row: (-row.probs[index[row.label]], row.path),
                )
            ),
        )
        for k, rows in enumerate(binned)
    )
