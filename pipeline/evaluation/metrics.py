"""The figures of a split, each with its n, by scikit-learn where it has them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from pipeline.core.artifacts import Prediction, Predictions, RocPoint
from pipeline.core.errors import DataError
from pipeline.evaluation.interval import Floats, Ints, rounded, wilson_interval

MAX_ROC_POINTS = 500
BINS = 15
"""Of confidence, as in Guo et al. 2017."""


def to_predictions(
    probs: Floats, labels: Ints, *, paths: Sequence[str], classes: Sequence[str]
) -> Predictions:
    """Return one record per image, sorted by path.

    Args:
        probs: (N, K) probabilities, each row summing to 1.
        labels: (N,) true class indices in [0, K).
        paths: N names.
        classes: K names.
    """
    losses = -np.log(np.clip(probs[np.arange(len(labels)), labels], 1e-12, 1))
    rows = [
        Prediction(
            path, classes[label], classes[int(row.argmax())], float(loss), tuple(map(float, row))
        )
        for path, label, row, loss in zip(paths, labels, probs, losses, strict=True)
    ]
    return Predictions(tuple(classes), tuple(sorted(rows, key=lambda row: row.path)))


def summarize(probs: Floats, labels: Ints, *, classes: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of one split, rounded, ready for JSON.

    Args:
        probs: (N, K) probabilities, each row summing to 1.
        labels: (N,) true class indices in [0, K).
        classes: K names.

    Raises:
        DataError: there is no image, or a probability is not finite.
    """
    if len(probs) == 0 or len(probs) != len(labels):
        raise DataError(f"probs has {len(probs)} rows, labels {len(labels)}; expected equal, N > 0")
    if not np.isfinite(probs).all():
        raise DataError("a probability is not finite; the model is damaged: run dvc repro -f train")
    right = int((probs.argmax(1) == labels).sum())
    low, high = wilson_interval(right, len(labels))
    figures = {
        "accuracy": right / len(labels),
        "accuracy_low": low,
        "accuracy_high": high,
        "log_loss": float(log_loss(labels, probs, labels=range(len(classes)))),
        "brier": brier_score(probs, labels),
        "ece": expected_calibration_error(probs, labels),
        "roc_auc": macro_roc_auc(probs, labels),
        "average_precision": macro_average_precision(probs, labels),
    }
    return {
        **{name: rounded(value) for name, value in figures.items()},
        "n": len(labels),
        "per_class": _per_class(probs.argmax(1), labels, classes),
    }


def expected_calibration_error(probs: Floats, labels: Ints, *, bins: int = BINS) -> float:
    """Return the mean gap between stated confidence and observed accuracy.

    ECE = sum over bins of (n_bin / N) * |accuracy_bin - confidence_bin|, with equal-width bins over
    the probability of the predicted class.

    Args:
        probs: (N, K) probabilities, each row summing to 1.
        labels: (N,) true class indices in [0, K).
        bins: number of bins over [0, 1].

    Returns:
        A fraction in [0, 1]; 0.03 means that confidence is off by 3 points on average.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 2.
    """
    confidence = probs.max(axis=1)
    correct = probs.argmax(axis=1) == labels
    gap = np.bincount(bin_numbers(confidence, bins=bins), weights=correct - confidence)
    return float(np.abs(gap).sum() / len(labels))


def bin_numbers(confidence: Floats, *, bins: int) -> Ints:
    """Return the bin of each of (N,) confidences in [0, 1]: `bins` of equal width, from 0."""
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)  # 1.0 is in the last one


def brier_score(probs: Floats, labels: Ints) -> float:
    """Return the mean squared distance of the probabilities from the truth, in [0, 2].

    Source: Brier 1950, Monthly Weather Review 78(1), equation 2; summed over the K classes.
    """
    truth = np.eye(probs.shape[1])[labels]
    return float(((probs - truth) ** 2).sum(1).mean())


def macro_roc_auc(probs: Floats, labels: Ints) -> float | None:
    """Return the area under the ROC curve, one class against the rest, averaged over the classes.

    With two classes that is the usual area. A class without images has no area and does not count.
    None where no class has one: one of them has all images.
    """
    return _macro(roc_auc_score, probs, labels)


def macro_average_precision(probs: Floats, labels: Ints) -> float | None:
    """Return the area under the precision-recall curve as a sum of steps; otherwise as the ROC's.

    Of two classes the mean over both, so that it does not matter which is called positive.
    """
    return _macro(average_precision_score, probs, labels)


def _macro(
    score: Callable[[NDArray[np.bool_], Floats], float], probs: Floats, labels: Ints
) -> float | None:
    present = [k for k in range(probs.shape[1]) if 0 < (labels == k).sum() < len(labels)]
    if not present:
        return None
    return float(np.mean([score(labels == k, probs[:, k]) for k in present]))


def roc_points(probs: Floats, labels: Ints) -> list[RocPoint]:
    """Return the ROC curve: of the second class of two, micro-averaged over more classes."""
    if probs.shape[1] == 2:
        truth, scores = labels == 1, probs[:, 1]
    else:
        truth, scores = (np.eye(probs.shape[1])[labels] == 1).ravel(), probs.ravel()
    if truth.all() or not truth.any():
        return [RocPoint(fpr=0.0, tpr=0.0), RocPoint(fpr=1.0, tpr=1.0)]
    fpr, tpr, _ = roc_curve(truth, scores)
    chosen = np.unique(
        np.linspace(0, len(fpr) - 1, min(len(fpr), MAX_ROC_POINTS)).round().astype(int)
    )
    return [RocPoint(fpr=float(fpr[i]), tpr=float(tpr[i])) for i in chosen]


def _per_class(
    predicted: Ints, labels: Ints, classes: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Return precision, recall, F1 and n of each class; None of a class that has no image here."""
    *scores, n = precision_recall_fscore_support(
        labels, predicted, labels=range(len(classes)), zero_division=0.0
    )
    return {
        name: {
            **{
                title: rounded(float(score[k])) if n[k] else None
                for title, score in zip(("precision", "recall", "f1"), scores, strict=True)
            },
            "n": int(n[k]),
        }
        for k, name in enumerate(classes)
    }
