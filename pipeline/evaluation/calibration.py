"""Probabilities that mean what they say: the temperature, and the diagram that shows it."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import softmax
from sklearn.metrics import log_loss

from pipeline.core.artifacts import ReliabilityBin
from pipeline.core.errors import DataError
from pipeline.evaluation.interval import DIGITS, Floats, Ints, rounded
from pipeline.evaluation.metrics import (
    BINS,
    bin_numbers,
    brier_score,
    expected_calibration_error,
)

MIN_IMAGES = 10
"""With fewer than so many the temperature stays at 1."""
COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """What divides the logits, and how it was found."""

    value: float
    status: str
    """`fitted`; `bounded`, it would lie beyond `COLDEST` or `HOTTEST`; or why it is 1: `off`,
    `few images`, `flat` (the logits of each image are equal)."""
    n: int
    """Images that it was fitted on."""


UNCALIBRATED = Temperature(value=1.0, status="off", n=0)


def probabilities(logits: NDArray[Any], *, temperature: float) -> Floats:
    """Return softmax(logits / temperature) over the last axis, in float64."""
    probs: Floats = softmax(np.asarray(logits, np.float64) / temperature, axis=-1)
    return probs


def fit_temperature(logits: NDArray[Any], labels: Ints) -> Temperature:
    """Return the temperature of least cross-entropy.

    The targets are those of Platt: (n + 1) / (n + 2) for the label, the rest shared out among the
    other classes. Where no image is wrong, hard targets would let the temperature run to zero, and
    the first error to come would cost dozens of nats; these say what n right answers are worth. In
    large sets the difference vanishes.

    With b = 1 / temperature, the cross-entropy is convex in b, and its derivative, the mean over
    the images of E_p[z] - E_target[z], is sought for its zero.

    Args:
        logits: (N, K), of images that the network was not fitted on.
        labels: (N,) true class indices in [0, K).

    Raises:
        DataError: a logit is not finite.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2; Platt 1999,
    Probabilistic Outputs for Support Vector Machines, section 2.2.
    """
    z, n = np.asarray(logits, np.float64), len(labels)
    if not np.isfinite(z).all():
        raise DataError("a logit is not finite; the model is damaged: run dvc repro -f train")
    if n < MIN_IMAGES:
        return Temperature(value=1.0, status="few images", n=n)
    z = z - z.max(axis=1, keepdims=True)
    wanted = float((_platt_targets(labels, n_classes=z.shape[1]) * z).sum(1).mean())

    def slope(log_b: float) -> float:
        probs = softmax(math.exp(log_b) * z, axis=1)
        return float((probs * z).sum(1).mean()) - wanted

    low, high = -math.log(HOTTEST), -math.log(COLDEST)
    if not z.any():
        return Temperature(value=1.0, status="flat", n=n)
    if slope(low) >= 0:
        return Temperature(value=HOTTEST, status="bounded", n=n)
    if slope(high) <= 0:
        return Temperature(value=COLDEST, status="bounded", n=n)
    log_b = float(brentq(slope, low, high, xtol=1e-12))
    return Temperature(value=round(math.exp(-log_b), DIGITS), status="fitted", n=n)


def calibration_figures(probs: Floats, labels: Ints) -> dict[str, Any]:
    """Return what calibration is judged by, rounded: log loss, ECE, Brier score and n.

    Args:
        probs: (N, K) probabilities, each row summing to 1.
        labels: (N,) true class indices in [0, K).
    """
    return {
        "log_loss": rounded(float(log_loss(labels, probs, labels=range(probs.shape[1])))),
        "ece": rounded(expected_calibration_error(probs, labels)),
        "brier": rounded(brier_score(probs, labels)),
        "n": len(labels),
    }


def reliability_bins(
    probs: Floats, labels: Ints, *, version: str, bins: int = BINS
) -> list[ReliabilityBin]:
    """Return the bins of the reliability diagram that hold images, by confidence.

    The mean over the images of |accuracy - confidence| is `expected_calibration_error`.

    Source: Guo et al. 2017, section 2, figure 1.
    """
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    numbers = bin_numbers(confidence, bins=bins)
    return [
        ReliabilityBin(
            version=version,
            low=number / bins,
            high=(number + 1) / bins,
            confidence=float(confidence[numbers == number].mean()),
            accuracy=float(right[numbers == number].mean()),
            n=int((numbers == number).sum()),
        )
        for number in np.unique(numbers).tolist()
    ]


def _platt_targets(labels: Ints, *, n_classes: int) -> Floats:
    n = len(labels)
    targets = np.full((n, n_classes), 1 / ((n + 2) * (n_classes - 1)))
    targets[np.arange(n), labels] = (n + 1) / (n + 2)
    return targets
