"""A share and its interval, in the digits of all figures.

Without scikit-learn, whose import takes seconds: the report, the model card and comparisons need
no more of the metrics than this.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DIGITS = 6
Z_95 = 1.959963984540054  # standard normal quantile of 0.975


def rounded(value: float | None) -> float | None:
    """Return a figure in the digits of the metrics; None, which is undefined, stays None."""
    return None if value is None else round(value, DIGITS) + 0.0  # no negative zero


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `right` among `n`.

    Source: Wilson 1927, JASA 22(158), p. 209; without continuity correction.
    """
    share, z2 = right / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)
