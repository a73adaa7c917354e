"""The reject option: predictions less sure than a threshold are left open.

Source: Chow 1970, On Optimum Recognition Error and Reject Tradeoff; risk and coverage as in
El-Yaniv and Wiener 2010, On the Foundations of Noise-free Selective Classification, section 2.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.core.artifacts import RiskPoint
from pipeline.evaluation.interval import Floats, Ints, rounded, wilson_interval
from pipeline.imaging.spec import ALL_UNSURE

DIGITS = 6
"""Of a confidence; what differs less is a tie, and float32 differs less."""
MARGIN = 0.5 * 10**-DIGITS
MAX_POINTS = 500


@dataclass(frozen=True, slots=True)
class _Levels:
    """What happens if confidences from each level on are answered, L levels from low to high."""

    confidence: Floats
    n_answered: Ints
    n_wrong: Ints

    def threshold(self, index: int) -> float:
        """Return a threshold half way between a level and the one below."""
        level = float(self.confidence[index])
        below = float(self.confidence[index - 1]) if index else level - 2 * MARGIN
        return max(0.0, round((level + below) / 2, DIGITS + 1))


def choose_threshold(
    probs: Floats, labels: Ints, *, risk: float | None, coverage: float | None
) -> float | None:
    """Return the threshold for a wanted risk or a wanted coverage, None where neither is wanted.

    Args:
        probs: (N, K) calibrated probabilities of the validation images, N > 0.
        labels: (N,) true class indices in [0, K).
        risk: see `threshold_for_risk`.
        coverage: see `threshold_for_coverage`; at most one of the two is not None.
    """
    if risk is not None:
        return threshold_for_risk(probs, labels, risk=risk)
    return None if coverage is None else threshold_for_coverage(probs, coverage=coverage)


def threshold_for_coverage(probs: Floats, *, coverage: float) -> float:
    """Return the threshold from which on at least a share of `coverage` is answered, the highest.

    Args:
        probs: (N, K) calibrated probabilities of the validation images, N > 0.
        coverage: in (0, 1]. 1 gives a threshold just below the least sure of these images.
    """
    levels = _levels(probs, np.zeros(len(probs), np.int64))
    # A share that is meant exactly, 0.9 of 10, must not fail by the last bit.
    enough = np.flatnonzero(levels.n_answered >= coverage * len(probs) - 1e-9)
    return levels.threshold(int(enough[-1]))


def threshold_for_risk(probs: Floats, labels: Ints, *, risk: float) -> float:
    """Return the lowest threshold with at most a share of `risk` wrong among the answers.

    Args:
        probs: (N, K) calibrated probabilities of the validation images, N > 0.
        labels: (N,) true class indices in [0, K).
        risk: in [0, 1).

    Returns:
        `ALL_UNSURE` if there is none.
    """
    levels = _levels(probs, labels)
    met = np.flatnonzero(levels.n_wrong <= risk * levels.n_answered + 1e-9)
    return levels.threshold(int(met[0])) if len(met) else ALL_UNSURE


def reject_figures(probs: Floats, labels: Ints, *, threshold: float | None) -> dict[str, Any]:
    """Return coverage and risk at a threshold, rounded, with 95 % intervals (Wilson 1927).

    Args:
        probs: (N, K) calibrated probabilities, N > 0.
        labels: (N,) true class indices in [0, K).
        threshold: predictions at least so probable are answered; None answers all.

    Returns:
        `coverage`, the share answered, of `n`; `risk`, the share wrong of the `n_answered`, None
        if there is none; and their intervals as `_low` and `_high`.
    """
    answered = probs.max(axis=1) >= (0.0 if threshold is None else threshold)
    wrong = (probs.argmax(axis=1) != labels)[answered]
    n, n_answered = len(labels), int(answered.sum())
    return {
        "n": n,
        "n_answered": n_answered,
        **_share("coverage", n_answered, n),
        **_share("risk", int(wrong.sum()), n_answered),
    }


def risk_coverage(probs: Floats, labels: Ints, *, max_points: int = MAX_POINTS) -> list[RiskPoint]:
    """Return the curve from the surest images to all, evenly thinned out to `max_points`.

    Args:
        probs: (N, K) calibrated probabilities, N > 0.
        labels: (N,) true class indices in [0, K).
        max_points: at least 2; the first and the last point are always there.
    """
    levels = _levels(probs, labels)
    count = len(levels.confidence)
    chosen = np.unique(np.linspace(0, count - 1, min(count, max_points)).round().astype(int))
    return [
        RiskPoint(
            threshold=float(levels.confidence[index]),
            coverage=int(levels.n_answered[index]) / len(labels),
            risk=int(levels.n_wrong[index]) / int(levels.n_answered[index]),
            n=int(levels.n_answered[index]),
        )
        for index in reversed(chosen.tolist())
    ]


def _levels(probs: Floats, labels: Ints) -> _Levels:
    confidence = probs.max(axis=1).round(DIGITS)
    wrong = probs.argmax(axis=1) != labels
    level, of_image = np.unique(confidence, return_inverse=True)
    answered = np.bincount(of_image, minlength=len(level))
    wrongly = np.bincount(of_image, weights=wrong, minlength=len(level)).astype(np.int64)
    return _Levels(level, answered[::-1].cumsum()[::-1], wrongly[::-1].cumsum()[::-1])


def _share(name: str, count: int, n: int) -> dict[str, float | None]:
    if n == 0:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = wilson_interval(count, n)
    return {name: rounded(count / n), f"{name}_low": rounded(low), f"{name}_high": rounded(high)}
