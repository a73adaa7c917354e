"""Thresholds and the curve against hand-worked cases and a search over all thresholds."""

import numpy as np
import pytest

from pipeline.evaluation.rejection import (
    choose_threshold,
    reject_figures,
    risk_coverage,
    threshold_for_coverage,
    threshold_for_risk,
)
from pipeline.imaging.spec import ALL_UNSURE, ModelSpec, PreprocessSpec, spec_from_json

CONFIDENCE = np.array([0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0])
WRONG = np.array([0, 1, 0, 1, 0, 0, 0, 0, 0, 0])  # at 0.6 and 0.7


def two_classes(confidence):
    """Return probabilities whose first class is predicted."""
    return np.stack([confidence, 1 - confidence], axis=1)


def drawn(n, k, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    scores = np.exp(2 * rng.normal(size=(n, k)) + 2 * np.eye(k)[labels])
    return scores / scores.sum(1, keepdims=True), labels


@pytest.mark.parametrize(
    ("coverage", "threshold"),
    [(0.8, 0.625), (0.9, 0.575), (0.81, 0.575), (0.79, 0.625), (0.1, 0.975), (0.01, 0.975)],
)
def test_a_coverage_rejects_no_more_than_it_may(coverage, threshold):
    found = threshold_for_coverage(two_classes(CONFIDENCE), coverage=coverage)
    assert found == pytest.approx(threshold)


def test_full_coverage_answers_all_of_these_and_nothing_less_sure():
    found = threshold_for_coverage(two_classes(CONFIDENCE), coverage=1.0)
    assert 0.549 < found < 0.55


def test_images_of_equal_confidence_stay_together():
    probs = two_classes(np.array([0.6, 0.7, 0.7, 0.7, 0.9]))
    # 60 % would part the three of 0.7; with them 80 % are answered.
    assert threshold_for_coverage(probs, coverage=0.6) == pytest.approx(0.65)


@pytest.mark.parametrize(
    ("risk", "threshold"),
    # Of all 2 in 10 are wrong; from 0.6 on 2 in 9, from 0.65 on 1 in 8, from 0.75 on none.
    [(0.2, 0.55), (0.13, 0.625), (0.125, 0.625), (0.12, 0.725), (0.0, 0.725), (0.5, 0.55)],
)
def test_a_risk_is_met_with_the_most_answers(risk, threshold):
    found = threshold_for_risk(two_classes(CONFIDENCE), WRONG, risk=risk)
    assert found == pytest.approx(threshold, abs=1e-6)


def test_a_risk_that_no_threshold_meets_leaves_all_unsure():
    probs = two_classes(np.array([0.6, 0.99]))
    found = threshold_for_risk(probs, np.array([0, 1]), risk=0.1)
    assert found == ALL_UNSURE
    assert reject_figures(probs, np.array([0, 1]), threshold=found)["n_answered"] == 0


def test_where_all_are_unsure_the_served_model_is_sure_of_none_either():
    spec = ModelSpec(
        arch="compact",
        classes=("a", "b"),
        preprocess=PreprocessSpec(size_px=32),
        threshold=ALL_UNSURE,
    )
    sure = np.float32(1 - 1e-9)  # a float32 holds nothing between this and 1
    assert sure < spec_from_json(spec.to_json(), where="here").threshold


@pytest.mark.parametrize("seed", range(20))
def test_no_other_threshold_does_better(seed):
    probs, labels = drawn(60, 3, seed)
    confidence, wrong = probs.max(1), probs.argmax(1) != labels

    def outcome(threshold):
        answered = confidence >= threshold
        return answered.mean(), wrong[answered].mean() if answered.any() else 0.0

    every = [outcome(level) for level in confidence]
    covered = outcome(threshold_for_coverage(probs, coverage=0.7))[0]
    assert covered == min(c for c, _ in every if c >= 0.7)
    coverage, risk = outcome(threshold_for_risk(probs, labels, risk=0.05))
    assert risk <= 0.05
    assert coverage == max((c for c, r in every if r <= 0.05), default=0.0)


def test_one_wish_at_most_decides():
    probs = two_classes(CONFIDENCE)
    assert choose_threshold(probs, WRONG, risk=None, coverage=None) is None
    assert choose_threshold(probs, WRONG, risk=0.0, coverage=None) == pytest.approx(0.725)
    assert choose_threshold(probs, WRONG, risk=None, coverage=0.9) == pytest.approx(0.575)


def test_the_figures_at_a_threshold():
    found = reject_figures(two_classes(CONFIDENCE), WRONG, threshold=0.625)
    assert (found["n"], found["n_answered"], found["coverage"], found["risk"]) == (
        10,
        8,
        0.8,
        1 / 8,
    )
    # Wilson 1927 by hand, 8 of 10: centre (0.8 + 0.19207) / 1.38415, half width 0.22658.
    assert found["coverage_low"] == pytest.approx(0.490162, abs=1e-6)
    assert found["coverage_high"] == pytest.approx(0.943318, abs=1e-6)
    assert found["risk_low"] < 1 / 8 < found["risk_high"]
    assert reject_figures(two_classes(CONFIDENCE), WRONG, threshold=None)["coverage"] == 1


def test_without_an_answer_there_is_no_risk():
    found = reject_figures(two_classes(CONFIDENCE[:3]), WRONG[:3], threshold=0.9)
    assert (found["coverage"], found["risk"], found["risk_low"]) == (0, None, None)


def test_the_curve_of_the_hand_worked_case():
    points = risk_coverage(two_classes(CONFIDENCE), WRONG)
    assert [p.n for p in points] == list(range(1, 11))
    assert [p.threshold for p in points] == pytest.approx(CONFIDENCE[::-1])
    assert [p.risk for p in points] == pytest.approx([*[0] * 6, 1 / 7, 1 / 8, 2 / 9, 2 / 10])
    assert points[-1].coverage == 1


def test_a_long_curve_is_thinned_out_and_keeps_its_ends():
    probs, labels = drawn(5000, 2, 0)
    points = risk_coverage(probs, labels)
    assert 400 < len(points) <= 500
    assert (points[-1].coverage, points[-1].n) == (1, 5000)
    assert points[-1].risk == pytest.approx((probs.argmax(1) != labels).mean())
    assert points[0].n <= 5
    coverages = [point.coverage for point in points]
    assert coverages == sorted(coverages)


def test_probabilities_of_one_are_ties_that_a_threshold_lets_through():
    probs = two_classes(np.array([0.7, 1 - 1e-9, 1 - 2e-8, 1.0]))
    found = threshold_for_coverage(probs, coverage=0.5)
    assert 0.7 < found < 1
    assert (probs.max(1).astype(np.float32) >= found).sum() == 3
