"""What a curve is taken to say, on curves whose answer is known by hand."""

import numpy as np
import pytest

from pipeline.core.artifacts import CurvePoint
from pipeline.modeling.lr_finder import ramp
from pipeline.modeling.lr_rules import (
    RULES,
    RangeTest,
    edge_of_explosion,
    judge,
    mean_curve,
    slide,
    steepest_improvement,
    tenth_of_minimum,
    valley,
)


def curve_of(*points):
    return [CurvePoint(lr=lr, loss=loss, spread=0.0) for lr, loss in points]


# Flat, then falling fastest from 1e-3 to 1e-2, lowest at 3e-2, then exploding.
TEXTBOOK = curve_of(
    (1e-6, 0.70),
    (1e-5, 0.70),
    (1e-4, 0.692),
    (1e-3, 0.65),
    (1e-2, 0.50),
    (3e-2, 0.45),
    (1e-1, 0.48),
    (1.0, 0.60),
    (10.0, 1.50),
)
RATES = ramp(min_lr=1e-4, max_lr=10.0, steps_per_doubling=3)


def sweep_with_edge(edge, *, fall=0.2):
    """Return losses that fall slowly, then rise as a power of the rate from `edge` on."""
    rise = np.maximum(0, np.log10(RATES / edge)) * 3
    return 0.7 - fall * np.linspace(0, 1, len(RATES)) + rise


NOTHING = np.empty(0)


def judged(sweeps, rule="edge", **changes):
    """Judge sweeps over the whole range; `changes` are fields of the test."""
    whole = {"coarse_rates": NOTHING, "coarse": NOTHING, "min_lr": RATES[0]}
    test = RangeTest(**{"rates": RATES, "sweeps": tuple(sweeps)} | whole | changes)
    return judge(test, rule=rule, edge_to_peak=0.5, default_lr=9.0)


def test_the_edge_lies_where_the_loss_is_a_fifth_above_its_lowest():
    # 1.2 x 0.45 = 0.54, half-way from 0.48 at 0.1 to 0.60 at 1: half a decade in log rate.
    assert edge_of_explosion(TEXTBOOK) == pytest.approx(0.1 * 10**0.5)
    assert edge_of_explosion(TEXTBOOK[:7]) is None


def test_the_rules_of_the_field_on_a_textbook_curve():
    assert steepest_improvement(TEXTBOOK) in (1e-3, 1e-2)
    assert tenth_of_minimum(TEXTBOOK) == pytest.approx(3e-3)
    # The longest fall is 0.70, 0.692, 0.65, 0.50, 0.45: indices 0 to 5, whose middle is index 2.
    assert valley(TEXTBOOK) == 1e-4
    # Slopes per step: 0, -.004, -.025, -.096, -.1, -.01, .075, .51, .9: from the right, the first
    # two neighbours that differ by at most 0.005 are 3 and 4 (-.096 and -.1).
    assert slide(TEXTBOOK) == 1e-3


def test_the_suggestion_is_the_edge_times_the_factor_in_two_digits():
    verdict = judged([sweep_with_edge(0.1)] * 3)
    edge = edge_of_explosion(mean_curve(RATES, [sweep_with_edge(0.1)]))
    assert 0.03 < edge < 0.3
    assert verdict.suggestion.status == "ok"
    assert verdict.suggestion.lr == float(f"{edge / 2:.2g}")
    assert verdict.edges == pytest.approx((edge,) * 3)
    assert set(verdict.rules) == set(RULES)


def test_another_rule_can_be_chosen():
    sweeps = [sweep_with_edge(0.1)] * 3
    for rule in RULES[1:]:
        verdict = judged(sweeps, rule=rule)
        assert verdict.suggestion.status == "ok"
        assert verdict.suggestion.lr == float(f"{verdict.rules[rule]:.2g}")
        assert verdict.rules == judged(sweeps).rules


def test_the_edge_is_that_of_the_fine_sweeps_and_the_shape_that_of_the_coarse_one():
    rates = ramp(min_lr=0.0125, max_lr=10.0, steps_per_doubling=3)
    late = len(RATES) - len(rates)
    fine = [sweep_with_edge(0.1)[late:]] * 3
    coarse_rates = np.array([point.lr for point in TEXTBOOK])
    coarse = np.array([point.loss for point in TEXTBOOK])
    near = judged(fine, rates=rates, coarse_rates=coarse_rates, coarse=coarse)
    edge = edge_of_explosion(mean_curve(rates, fine))
    assert near.rules["edge"] == pytest.approx(edge / 2)
    assert near.curve[0].lr == 0.0125
    assert near.suggestion.status == "ok"
    whole = mean_curve(coarse_rates, [coarse])
    assert near.rules["minimum"] == pytest.approx(tenth_of_minimum(whole))
    assert near.rules["steepest"] < 0.0125
    assert near.coarse_edge == pytest.approx(edge_of_explosion(whole))
    # Where the fine ones do go over the whole range, they are three.
    every = [sweep_with_edge(0.1)] * 3
    full = judged(every, coarse_rates=coarse_rates, coarse=coarse)
    assert full.rules == judged(every).rules


def test_an_edge_near_the_start_of_the_fine_sweeps_has_not_diverged():
    # Within two doublings of the first rate of the sweeps, but far from that of the range.
    rates = ramp(min_lr=0.05, max_lr=10.0, steps_per_doubling=3)
    fine = [0.7 + 3 * np.maximum(0, np.log10(rates / 0.1))] * 3
    assert judged(fine, rates=rates).suggestion.status == "ok"
    assert judged(fine, rates=rates, min_lr=0.05).suggestion.status == "diverged"


def test_sweeps_that_explode_at_rates_far_apart_are_noise():
    verdict = judged([sweep_with_edge(0.01), sweep_with_edge(0.02), sweep_with_edge(0.3)])
    assert verdict.suggestion.status == "noisy"
    assert verdict.suggestion.lr == 9.0
    assert "raise lr_find.sweeps" in verdict.reason
    near = judged([sweep_with_edge(0.01), sweep_with_edge(0.02), sweep_with_edge(0.015)])
    assert near.suggestion.status == "ok"


def test_a_loss_that_never_rises_is_flat():
    verdict = judged([np.full(len(RATES), 0.7)] * 3)
    assert (verdict.suggestion.status, verdict.suggestion.lr) == ("flat", 9.0)
    assert "raise lr_find.max_lr" in verdict.reason
    # Falling, it has no edge either, but the rules of the field have their answers.
    falling = judged([np.linspace(0.7, 0.1, len(RATES))] * 3)
    assert falling.suggestion.status == "flat"
    assert falling.rules["edge"] is None
    assert falling.rules["steepest"] is not None


def test_a_rule_of_the_field_needs_a_loss_that_falls():
    verdict = judged([sweep_with_edge(0.1, fall=0.0)] * 3, rule="steepest")
    assert verdict.suggestion.status == "flat"
    assert "fell by less than 2%" in verdict.reason


@pytest.mark.parametrize(
    "sweeps",
    [
        [np.array([0.7, 0.9, np.nan])] * 3,
        [np.array([np.nan])] * 3,
        [sweep_with_edge(1e-5)] * 3,
    ],
    ids=["soon", "at once", "from the start"],
)
def test_a_loss_that_explodes_near_the_first_rate_has_diverged(sweeps):
    verdict = judged(sweeps)
    assert (verdict.suggestion.status, verdict.suggestion.lr) == ("diverged", 9.0)
    assert "lower lr_find.min_lr" in verdict.reason


def test_smoothing_keeps_a_constant_and_clips_what_is_not_finite():
    flat = mean_curve(RATES, [np.full(len(RATES), 0.7)])
    assert [point.loss for point in flat] == pytest.approx([0.7] * len(RATES))
    losses = np.full(len(RATES), 0.5)
    losses[-1] = np.nan
    assert all(0.5 <= point.loss <= 1.5 for point in mean_curve(RATES, [losses]))


def test_a_sweep_that_has_exploded_stays_exploded():
    long, short = np.full(len(RATES), 0.5), np.full(20, 0.5)
    curve = mean_curve(RATES, [long, short])
    assert len(curve) == len(RATES)
    assert curve[0].loss == pytest.approx(0.5)
    # The mean of 0.5 and of the ceiling, three times 0.5.
    assert curve[-1].loss == pytest.approx(1.0)
    assert curve[-1].spread == pytest.approx(0.5)


def test_a_rule_that_needs_no_explosion_does_not_speak_of_one():
    falling = judged([0.7 - 0.3 * np.linspace(0, 1, len(RATES))] * 2, rule="steepest")
    assert falling.suggestion.status == "ok"
    assert falling.reason == "the loss falls, and never rises by 20%"
