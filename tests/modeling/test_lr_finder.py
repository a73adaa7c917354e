"""The range test: its ramp, its end, and that it leaves no trace."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.core.errors import ParamsError
from pipeline.modeling.batches import Augmentation
from pipeline.modeling.fit import weights_of
from pipeline.modeling.lr_finder import exploded, ramp, range_test, sweep
from pipeline.modeling.lr_rules import edge_of_explosion, mean_curve
from pipeline.modeling.zoo import build_model, fit_to_data


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
    learned = [0.7, 0.5, 0.3, 0.15, 0.1, 0.1, 0.1, 0.1, 0.4, 0.4]
    assert not exploded([*learned, 0.4], stop_factor=2.0)  # four times the lowest, and still good
    assert exploded([*learned, 0.8, 0.9], stop_factor=2.0)
    assert exploded([0.7, float("nan")], stop_factor=2.0)
    assert exploded([float("inf")], stop_factor=2.0)


def run_test(edges, **changes):
    """Run a range test whose sweep k rises from `edges[k]` on; also return what was swept.

    The first loss is that of an untrained network, whatever the rate.
    """
    swept = []

    def run_sweep(number, rates):
        swept.append((number, float(rates[0]), len(rates)))
        losses = 0.7 + 3 * np.maximum(0, np.log10(rates / edges[number]))
        losses[0] = 0.7
        return losses[: max(1, int((losses < 3).sum()))]

    arguments = {
        "min_lr": 1e-4,
        "max_lr": 10.0,
        "steps_per_doubling": 3,
        "n_sweeps": 2,
        "near_edge": True,
    }
    return range_test(run_sweep, **arguments | changes), swept


def coarse_edge_of(test):
    return edge_of_explosion(mean_curve(test.coarse_rates, [test.coarse]))


def test_a_range_of_too_few_rates_is_refused():
    # 1e-3 to 4e-3 is two doublings: 7 rates at three steps each, and a curve needs 8.
    with pytest.raises(ParamsError, match=r"^lr_find: found 7 rates .* at least 8;"):
        run_test({0: 0.1}, min_lr=1e-3, max_lr=4e-3)


def test_fine_sweeps_begin_three_doublings_below_the_edge_of_the_coarse_one():
    test, swept = run_test({0: 0.1, 1: 0.08, 2: 0.12})
    # 1e-4 to 10 is 16.6 doublings: 17 rates, a step per doubling.
    assert swept[0] == (0, 1e-4, 17)
    start = swept[1][1]
    assert start == pytest.approx(coarse_edge_of(test) / 8)
    assert swept[1:] == [(1, start, len(test.rates)), (2, start, len(test.rates))]
    assert test.rates[3] == pytest.approx(2 * start)
    assert len(test.sweeps) == 2
    assert len(test.coarse) < len(test.coarse_rates) == 17
    assert test.min_lr == 1e-4


def test_with_few_steps_per_doubling_they_begin_earlier():
    test, swept = run_test({0: 0.1, 1: 0.1, 2: 0.1}, steps_per_doubling=1)
    assert [number for number, _, _ in swept] == [0, 1, 2]
    # Eight points are a curve, so eight doublings.
    assert swept[1][1] == pytest.approx(coarse_edge_of(test) / 256)


def test_fine_sweeps_go_over_the_whole_range_where_the_coarse_one_does_not_tell():
    for edges in (
        {0: 1e9, 1: 0.1, 2: 0.1},  # no edge
        {0: 4e-4, 1: 0.1, 2: 0.1},  # at the first rates
    ):
        test, swept = run_test(edges)
        assert [start for _, start, _ in swept] == [1e-4] * 3
        assert len(test.rates) == 50  # 3 x 16.6 steps and the first


@pytest.mark.parametrize("edge", [0.02, 0.012])
def test_fine_sweeps_that_began_too_late_begin_anew_below_their_own_edge(edge):
    # They begin at 0.008: the coarse sweep's smoothed loss is 20 % up at 0.063.
    test, swept = run_test({0: 0.1, 1: edge, 2: edge})
    assert coarse_edge_of(test) == pytest.approx(0.063, rel=0.02)
    assert [number for number, _, _ in swept] == [0, 1, 2, 1, 2]
    assert 1e-4 < swept[-1][1] == test.rates[0] < 0.005
    # The same as of sweeps over the whole range.
    whole, _ = run_test({1: edge, 2: edge}, near_edge=False)
    edges = (edge_of_explosion(mean_curve(t.rates, t.sweeps)) for t in (test, whole))
    assert next(edges) == pytest.approx(next(edges), rel=0.02)


@pytest.mark.parametrize("edge", [0.004, 1e9], ids=["below their beginning", "none"])
def test_fine_sweeps_without_an_edge_go_over_the_whole_range(edge):
    test, swept = run_test({0: 0.1, 1: edge, 2: edge})
    assert [(number, start) for number, start, _ in swept[3:]] == [(1, 1e-4), (2, 1e-4)]
    assert test.rates[0] == 1e-4


def test_without_a_coarse_sweep_all_go_over_the_whole_range():
    test, swept = run_test({1: 0.1, 2: 0.1}, near_edge=False)
    assert [(number, start) for number, start, _ in swept] == [(1, 1e-4), (2, 1e-4)]
    assert len(test.coarse) == len(test.coarse_rates) == 0


PLAIN = Augmentation(crop_min_area=1.0, flip=False)


def swept(model, train, compute, **changes):
    """Run one small sweep; `changes` are arguments of `sweep`."""
    arguments = {
        "rates": np.array([1e-3, 2e-3]),
        "optimizer_name": "sgd",
        "weight_decay": 0.0,
        "batch_size": 16,
        "size_px": 24,
        "augmentation": PLAIN,
        "label_smoothing": 0.0,
        "stop_factor": 4.0,
        "seed": 1,
    }
    return sweep(model, train, compute=compute, **arguments | changes)


def test_the_test_leaves_model_and_randomness_as_they_were(train_split, cpu):
    model = build_model("compact", n_classes=2)
    fit_to_data(model, train_split)
    before, state = weights_of(model), torch.get_rng_state()
    rates = ramp(min_lr=1e-4, max_lr=0.05, steps_per_doubling=1)

    def run(seed):
        return swept(
            model,
            train_split,
            cpu,
            rates=rates,
            augmentation=Augmentation(crop_min_area=0.5, flip=True),
            label_smoothing=0.1,
            stop_factor=5.0,
            seed=seed,
        )

    first, again, other = run(1), run(1), run(2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(first) == len(rates)  # 9 steps are more than an epoch of 4: the data repeat
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training is True


def test_with_the_head_alone_the_body_gets_no_step(train_split, cpu):
    model = build_model("resnet18", n_classes=2)
    seen = []
    rates = np.array([1e-3, 1e-3])
    # A body in evaluation mode and 512 features: the first loss is that of the untrained network
    # in evaluation mode for the head alone, in training mode for the whole.
    head, whole = (
        swept(model, train_split, cpu, rates=rates, head_alone=alone, on_step=seen.append)
        for alone in (True, False)
    )
    assert head[0] != whole[0]
    assert seen == [1, 1, 1, 1]
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_mixed_images_and_layer_groups_are_swept_as_they_are_trained(train_split, cpu):
    losses = swept(
        build_model("compact", n_classes=2),
        train_split,
        cpu,
        rates=np.array([1e-3, 2e-3, 4e-3]),
        optimizer_name="muon",
        augmentation=replace(PLAIN, mixup=1.0),
        lr_factors=(0.1, 1.0),
        n_classes=2,
    )
    assert len(losses) == 3
    assert np.isfinite(losses).all()


def test_a_loss_that_is_not_finite_ends_the_sweep(train_split, cpu):
    model = build_model("compact", n_classes=2)
    with torch.no_grad():
        model.network.fc.weight.fill_(float("nan"))
    losses = swept(model, train_split, cpu)
    assert len(losses) == 1
    assert np.isnan(losses[0])
