"""The temperature against a known truth, scikit-learn's and hand-worked cases."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from pipeline.core.errors import DataError
from pipeline.evaluation.calibration import (
    COLDEST,
    HOTTEST,
    calibration_figures,
    fit_temperature,
    probabilities,
    reliability_bins,
)
from pipeline.evaluation.metrics import expected_calibration_error


def drawn(n, k, *, temperature, seed=0):
    """Return logits, and labels drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(n, k))
    gumbel = rng.gumbel(size=(n, k))
    return logits, (logits / temperature + gumbel).argmax(1)


def alike(n, margin):
    """Return n images of the first class of two, all right by the same margin."""
    return np.tile([margin, 0.0], (n, 1)), np.zeros(n, int)


class Logits(ClassifierMixin, BaseEstimator):
    """A classifier whose scores are its inputs."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, x):
        return x

    def predict(self, x):
        return x.argmax(1)


@pytest.mark.parametrize("k", [2, 3, 37])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_drew_the_labels_is_found(k, temperature):
    logits, labels = drawn(20_000, k, temperature=temperature)
    found = fit_temperature(logits, labels)
    assert found.value == pytest.approx(temperature, rel=0.06)
    assert (found.status, found.n) == ("fitted", 20_000)


def test_it_is_scikit_learns_where_there_are_many_images():
    logits, labels = drawn(10_000, 3, temperature=1.7)
    theirs = CalibratedClassifierCV(
        FrozenEstimator(Logits().fit(logits, labels)), method="temperature", ensemble=False
    ).fit(logits, labels)
    ours = probabilities(logits, temperature=fit_temperature(logits, labels).value)
    assert np.abs(ours - theirs.predict_proba(logits)).max() < 2e-3


def test_right_answers_alone_are_worth_what_platt_says():
    # All 20 right by a margin of 5: softmax(5 / T) = 21 / 22, so T = 5 / ln 21.
    found = fit_temperature(*alike(20, 5.0))
    assert found.value == pytest.approx(5 / math.log(21), abs=1e-6)
    # Three classes: the rest, 1 / 22, is shared by two, so 5 / T = ln 42.
    found = fit_temperature(np.tile([5.0, 0.0, 0.0], (20, 1)), np.zeros(20, int))
    assert found.value == pytest.approx(5 / math.log(42), abs=1e-6)


def test_a_temperature_stays_within_bounds():
    assert fit_temperature(*alike(20, 0.01)).value == COLDEST  # 0.01 / ln 21 = 0.003
    logits, labels = alike(20, 5.0)
    all_wrong = fit_temperature(logits, 1 - labels)
    assert (all_wrong.value, all_wrong.status) == (HOTTEST, "bounded")


@pytest.mark.parametrize(
    ("logits", "labels", "status"),
    [(*alike(9, 5.0), "few images"), (*alike(0, 5.0), "few images"), (*alike(20, 0.0), "flat")],
)
def test_where_nothing_can_be_told_the_temperature_is_1(logits, labels, status):
    found = fit_temperature(logits, labels)
    assert (found.value, found.status) == (1.0, status)


def test_huge_logits_do_not_overflow():
    logits, labels = drawn(500, 3, temperature=1.0)
    assert fit_temperature(4 * logits + 1e4, labels).value == pytest.approx(
        4 * fit_temperature(logits, labels).value, rel=1e-4
    )


def test_the_last_bits_of_the_logits_do_not_move_it():
    logits, labels = drawn(300, 2, temperature=1.3)
    noise = np.random.default_rng(1).normal(scale=1e-6, size=logits.shape)
    moved = fit_temperature(logits + noise, labels).value
    assert moved == pytest.approx(fit_temperature(logits, labels).value, abs=2e-6)


def test_logits_that_are_not_finite_are_an_error():
    with pytest.raises(DataError, match="not finite"):
        fit_temperature(np.full((20, 2), np.inf), np.zeros(20, int))


def test_probabilities_are_torchs_softmax_of_the_scaled_logits():
    logits, _ = drawn(50, 5, temperature=1)
    expected = (torch.from_numpy(logits) / 0.7).softmax(1).numpy()
    found = probabilities(logits.astype(np.float32), temperature=0.7)
    assert found == pytest.approx(expected, abs=1e-6)
    assert (found.argmax(1) == logits.argmax(1)).all()
    assert probabilities(np.stack([logits, logits]), temperature=0.7).shape == (2, 50, 5)


def test_a_fitted_temperature_betters_every_figure_of_images_that_it_was_not_fitted_on():
    logits, labels = drawn(4000, 3, temperature=2.5)
    value = fit_temperature(logits[:2000], labels[:2000]).value
    before, after = (
        calibration_figures(probabilities(logits[2000:], temperature=t), labels[2000:])
        for t in (1.0, value)
    )
    assert before["n"] == after["n"] == 2000
    for name in ("log_loss", "ece", "brier"):
        assert after[name] < before[name]


def test_the_bins_of_a_hand_worked_case():
    probs = np.array([[0.9, 0.1], [0.95, 0.05], [0.62, 0.38], [0.4, 0.6], [1.0, 0.0]])
    found = reliability_bins(probs, np.array([0, 1, 0, 0, 0]), version="after", bins=10)
    assert [(b.low, b.high, b.n) for b in found] == [(0.6, 0.7, 2), (0.9, 1.0, 3)]
    assert [b.confidence for b in found] == pytest.approx([0.61, 0.95])
    assert [b.accuracy for b in found] == pytest.approx([1 / 2, 2 / 3])
    assert {b.version for b in found} == {"after"}


def test_the_gaps_of_the_bins_add_up_to_the_calibration_error():
    logits, labels = drawn(700, 4, temperature=3)
    probs = probabilities(logits, temperature=1)
    bins = reliability_bins(probs, labels, version="before")
    total = sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / 700
    assert total == pytest.approx(expected_calibration_error(probs, labels))
    assert sum(b.n for b in bins) == 700
