"""The range test: its ramp, its curve, its rule, and that it leaves no trace."""

import numpy as np
import pytest
import torch

from pipeline.core.artifacts import CurvePoint
from pipeline.modeling.batches import Augmentation
from pipeline.modeling.fit import weights_of
from pipeline.modeling.lr_finder import (
    edge_of_explosion,
    exploded,
    mean_curve,
    ramp,
    steepest_improvement,
    suggest_lr,
    sweep,
)
from pipeline.modeling.zoo import build_model, fit_to_data


def curve_of(*points):
    return [CurvePoint(lr=lr, loss=loss, spread=0.0) for lr, loss in points]


# Flat, then falling fastest from 1e-3 to 1e-2, then exploding past 0.1.
TEXTBOOK = curve_of(
    (1e-6, 0.70),
    (1e-5, 0.70),
    (1e-4, 0.69),
    (1e-3, 0.65),
    (1e-2, 0.50),
    (3e-2, 0.45),
    (1e-1, 0.48),
    (3e-1, 0.60),
    (1.0, 1.50),
)


def test_the_rate_starts_tiny_and_doubles():
    rates = ramp(min_lr=1e-3, max_lr=0.064, steps_per_doubling=2)
    assert len(rates) == 13
    assert rates[0] == 1e-3
    assert rates[2::2] / rates[:-2:2] == pytest.approx(2.0)
    assert rates[-1] == pytest.approx(0.064)


def test_an_explosion_is_noticed_and_noise_is_not():
    calm = [0.7, 0.72, 0.68, 0.71, 0.69, 0.7, 0.66, 0.7, 0.68]
    assert not exploded(calm, stop_factor=2.0)
    assert not exploded([*calm, 1.9], stop_factor=2.0)  # one bad batch: the mean of three is 1.09
    assert exploded([*calm, 1.6, 1.7, 1.8], stop_factor=2.0)
    assert exploded([0.7, float("nan")], stop_factor=2.0)
    assert exploded([float("inf")], stop_factor=2.0)


def test_the_edge_and_the_steepest_improvement_of_a_textbook_curve():
    assert edge_of_explosion(TEXTBOOK) == 0.3  # the first above 1.1 x 0.45 = 0.495 past the minimum
    assert steepest_improvement(TEXTBOOK) in (1e-3, 1e-2)


def test_the_suggestion_is_the_edge_times_the_factor_in_two_digits():
    found = suggest_lr(TEXTBOOK, edge_to_peak=0.123456, default_lr=9.0)
    assert (found.lr, found.status) == (0.037, "ok")


@pytest.mark.parametrize(
    ("losses", "status"),
    [
        ([0.7] * 9, "diverged"),
        ([0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5], "diverged"),
        ([0.7, 0.7, 0.695, 0.695, 0.7, 0.7, 0.8, 0.9, 1.5], "flat"),
        ([0.7, 0.69, 0.68, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], "no explosion"),
        ([0.7, 0.6, 2.0], "diverged"),
    ],
)
def test_a_curve_without_an_answer_falls_back_and_says_why(losses, status):
    curve = curve_of(*((10.0**k, loss) for k, loss in enumerate(losses, -6)))
    found = suggest_lr(curve, edge_to_peak=0.1, default_lr=0.05)
    assert (found.lr, found.status) == (0.05, status)


def test_smoothing_keeps_a_constant_and_clips_what_is_not_finite():
    rates = ramp(min_lr=1e-3, max_lr=1.0, steps_per_doubling=1)
    flat = mean_curve(rates, [np.full(len(rates), 0.7)])
    assert [point.loss for point in flat] == pytest.approx([0.7] * len(rates))
    losses = np.full(len(rates), 0.5)
    losses[-1] = np.nan
    assert all(0.5 <= point.loss <= 1.5 for point in mean_curve(rates, [losses]))


def test_sweeps_are_averaged_over_their_common_length():
    rates = ramp(min_lr=1e-3, max_lr=1.0, steps_per_doubling=1)
    curve = mean_curve(rates, [np.full(9, 0.5), np.full(7, 0.7)])
    assert len(curve) == 7
    assert curve[0].loss == pytest.approx(0.6)
    assert curve[0].spread == pytest.approx(0.1)


def test_the_test_leaves_model_and_randomness_as_they_were(train_split, cpu):
    model = build_model("compact", n_classes=2)
    fit_to_data(model, train_split)
    before, state = weights_of(model), torch.get_rng_state()
    rates = ramp(min_lr=1e-4, max_lr=0.05, steps_per_doubling=1)

    def run(seed):
        return sweep(
            model,
            train_split,
            rates=rates,
            optimizer_name="sgd",
            weight_decay=0.0,
            batch_size=16,
            size_px=24,
            augmentation=Augmentation(crop_min_area=0.5, flip=True),
            label_smoothing=0.1,
            stop_factor=5.0,
            seed=seed,
            compute=cpu,
        )

    first, again, other = run(1), run(1), run(2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(first) == len(rates)  # 9 steps are more than an epoch of 4: the data repeat
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training is True
