"""Metrics against scikit-learn, published tables and hand-worked cases."""

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from pipeline.core.errors import DataError
from pipeline.evaluation.interval import wilson_interval
from pipeline.evaluation.metrics import (
    brier_score,
    expected_calibration_error,
    macro_roc_auc,
    roc_points,
    summarize,
    to_predictions,
)


def drawn(n, k, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    scores = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[labels]
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True), labels


def test_wilson_interval_equals_the_published_figures():
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3: 81/263, 15/148, 0/20, 1/29.
    for (right, n), (low, high) in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0000, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson_interval(right, n) == pytest.approx((low, high), abs=5e-5)


def test_ece_is_zero_when_confidence_equals_accuracy():
    probs = np.tile([0.75, 0.25], (4, 1))
    assert expected_calibration_error(probs, np.array([0, 0, 0, 1])) == pytest.approx(0.0)


def test_ece_of_a_hand_worked_case():
    # Two sure and right (gap 0.1 in one bin), two at 0.6 of which none is right (gap 0.6).
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    found = expected_calibration_error(probs, np.array([0, 0, 1, 1]), bins=10)
    assert found == pytest.approx(0.5 * 0.1 + 0.5 * 0.6)


def test_brier_is_twice_scikit_learns_for_two_classes():
    probs, labels = drawn(200, 2)
    assert brier_score(probs, labels) == pytest.approx(2 * sk.brier_score_loss(labels, probs[:, 1]))


@pytest.mark.parametrize("k", [2, 3, 37])
def test_the_summary_equals_scikit_learn(k):
    probs, labels = drawn(600, k)
    classes = [f"c{i}" for i in range(k)]
    found = summarize(probs, labels, classes=classes)
    predicted = probs.argmax(1)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted), abs=1e-6)
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, probs), abs=1e-6)
    auc = (
        sk.roc_auc_score(labels, probs[:, 1])
        if k == 2
        else sk.roc_auc_score(labels, probs, multi_class="ovr")
    )
    assert found["roc_auc"] == pytest.approx(auc, abs=1e-6)
    truth = np.eye(k)[labels]
    precision = sk.average_precision_score(truth, probs)  # macro
    assert found["average_precision"] == pytest.approx(precision, abs=1e-6)
    recalls = sk.recall_score(labels, predicted, average=None)
    assert [found["per_class"][c]["recall"] for c in classes] == pytest.approx(recalls, abs=1e-6)
    assert found["n"] == 600
    json.dumps(found, allow_nan=False)


def test_a_test_split_of_one_class_has_no_area_but_an_accuracy():
    probs, _ = drawn(10, 2)
    found = summarize(probs, np.zeros(10, int), classes=["a", "b"])
    assert found["roc_auc"] is None
    assert 0 <= found["accuracy"] <= 1
    assert macro_roc_auc(probs, np.zeros(10, int)) is None
    assert [(p.fpr, p.tpr) for p in roc_points(probs, np.zeros(10, int))] == [(0, 0), (1, 1)]


def test_of_a_class_without_images_nothing_is_said():
    probs, labels = drawn(300, 3)
    labels = labels % 2
    found = summarize(probs, labels, classes=["a", "b", "c"])
    assert found["per_class"]["c"] == {"precision": None, "recall": None, "f1": None, "n": 0}
    predicted = probs.argmax(1)
    precision = (labels[predicted == 0] == 0).mean()  # c may be predicted, which is always wrong
    assert found["per_class"]["a"]["precision"] == pytest.approx(precision, abs=1e-6)
    area = np.mean([sk.roc_auc_score(labels == k, probs[:, k]) for k in (0, 1)])
    assert found["roc_auc"] == pytest.approx(area, abs=1e-6)
    assert found["log_loss"] == pytest.approx(-np.log(probs[np.arange(300), labels]).mean())
    json.dumps(found, allow_nan=False)


def test_a_class_that_is_never_predicted_has_precision_0_as_scikit_learn_says():
    probs = np.tile([0.9, 0.1], (4, 1))
    found = summarize(probs, np.array([0, 1, 1, 0]), classes=["a", "b"])["per_class"]
    assert found["b"] == {"precision": 0, "recall": 0, "f1": 0, "n": 2}


def test_no_image_and_a_probability_that_is_not_finite_are_errors():
    with pytest.raises(DataError, match="expected equal, N > 0"):
        summarize(np.zeros((0, 2)), np.zeros(0, int), classes=["a", "b"])
    with pytest.raises(DataError, match="not finite"):
        summarize(np.array([[np.nan, 0.0]]), np.array([0]), classes=["a", "b"])


@pytest.mark.parametrize("k", [2, 4])
def test_the_roc_curve_goes_from_corner_to_corner_and_has_the_area(k):
    probs, labels = drawn(2000, k)
    points = roc_points(probs, labels)
    assert (points[0].fpr, points[0].tpr) == (0, 0)
    assert (points[-1].fpr, points[-1].tpr) == (1, 1)
    assert len(points) <= 500
    area = np.trapezoid([p.tpr for p in points], [p.fpr for p in points])
    truth = labels if k == 2 else np.eye(k)[labels].ravel()
    scores = probs[:, 1] if k == 2 else probs.ravel()
    assert area == pytest.approx(sk.roc_auc_score(truth, scores), abs=2e-3)


def test_predictions_are_sorted_by_path_with_their_losses():
    probs = np.array([[0.25, 0.75], [1.0, 0.0]])
    found = to_predictions(probs, np.array([0, 1]), paths=["b", "a"], classes=["cat", "dog"])
    assert [(row.path, row.label, row.predicted) for row in found.rows] == [
        ("a", "dog", "cat"),
        ("b", "cat", "dog"),
    ]
    assert found.rows[1].loss == pytest.approx(1.3862944)  # -ln 0.25
    assert found.rows[0].loss == pytest.approx(27.631021)  # a zero is floored at 1e-12
