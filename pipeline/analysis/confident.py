"""Confident learning: which labels does the model contradict surely enough to be doubted?

Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels,
Journal of Artificial Intelligence Research 70, section 3.1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Doubts:
    """What the rule says about N images of K classes."""

    thresholds: Floats
    """(K,) mean probability of a class among the images with that label; inf where there are none.
    """
    true: Ints
    """(N,) the class that the rule takes for the true one; the label where it takes none."""
    joint: Ints
    """(K, K) confident joint: images by label (row) and by the class taken for true (column)."""
    margins: Floats
    """(N,) probability of the label less that of the likeliest other class, in [-1, 1]."""
    rivals: Ints
    """(N,) the likeliest class other than the label."""


def doubt(probs: Floats, labels: Ints, *, thresholds: Floats | None = None) -> Doubts:
    """Count the confident joint, in which what lies off the diagonal is a suspected label.

    An image counts as class j if its probability of j is at least the mean probability of j among
    the images labelled j (equation 2); of several such classes, the most probable (equation 1).

    Args:
        probs: (N, K) probabilities, best of a model that did not learn from these images.
        labels: (N,) given class indices in [0, K).
        thresholds: (K,) to be used in place of those of these images.
    """
    n, k = probs.shape
    thresholds = self_confidence(probs, labels) if thresholds is None else thresholds
    reached = np.where(probs >= thresholds, probs, -1.0)
    counts = reached.max(axis=1) >= 0
    true = np.where(counts, reached.argmax(axis=1), labels)
    joint = np.zeros((k, k), np.int64)
    np.add.at(joint, (labels[counts], true[counts]), 1)
    others = probs.copy()
    others[np.arange(n), labels] = -1.0
    rivals = others.argmax(axis=1)
    margins = probs[np.arange(n), labels] - probs[np.arange(n), rivals]
    return Doubts(thresholds, true, joint, margins, rivals)


def self_confidence(probs: Floats, labels: Ints) -> Floats:
    """Return (K,) the mean probability of each class among the images labelled so (equation 2).

    A class without images has infinity: no image can then be taken for it.
    """
    n_classes = probs.shape[1]
    sums = np.bincount(labels, weights=probs[np.arange(len(labels)), labels], minlength=n_classes)
    counts = np.bincount(labels, minlength=n_classes)
    means = np.full(n_classes, np.inf)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means
