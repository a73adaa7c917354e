"""Pearson's correlation of pictures, in which what is within the noise counts as nothing."""

import numpy as np
from numpy.typing import NDArray

NOISE_LEVELS = 2.0
"""Gray levels: what a picture may vary by without showing anything."""

Values = NDArray[np.floating]


def correlation(first: Values, second: Values) -> Values:
    """Return the correlation of each pair, (N,); that of two empty pictures is 1.

    Args:
        first: brightness, (N, K).
        second: the same.
    """
    a, a_spread = centred(first)
    b, b_spread = centred(second)
    return scores((a * b).mean(-1), a_spread, b_spread)


def centred(values: Values) -> tuple[Values, Values]:
    """Return values (..., K) less their mean, and their standard deviation with the noise."""
    differences = values - values.mean(-1, keepdims=True)
    variance = np.einsum("...k,...k->...", differences, differences) / values.shape[-1]
    return differences, np.sqrt(variance + np.float32(NOISE_LEVELS**2))


def scores(covariance: Values, first_spread: Values, second_spread: Values) -> Values:
    """Return correlations from the covariance and the deviations of `centred`."""
    found: Values = (covariance + np.float32(NOISE_LEVELS**2)) / (first_spread * second_spread)
    return found
