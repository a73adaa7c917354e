"""The rate and the size of every step, worked by hand."""

import pytest
import torch
from torch.optim import lr_scheduler

from pipeline.modeling.schedule import Schedule, size_of_epoch


def test_the_rate_climbs_linearly_and_falls_linearly_to_nearly_zero():
    schedule = Schedule(peak_lr=1.0, n_steps=10, warmup_fraction=0.4)
    # Four steps up: 1/4, 2/4, 3/4, then the peak; seven steps from the peak to 1/7.
    expected = [1 / 4, 2 / 4, 3 / 4, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7]
    assert [schedule.lr(step) for step in range(10)] == pytest.approx(expected)


def test_without_warm_up_the_first_step_has_the_peak():
    schedule = Schedule(peak_lr=0.5, n_steps=5, warmup_fraction=0.0)
    assert [schedule.lr(s) for s in range(5)] == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize("n_steps", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("warmup", [0.0, 0.01, 0.15, 0.5, 0.99])
def test_the_rate_is_always_above_zero_and_at_most_the_peak(n_steps, warmup):
    schedule = Schedule(peak_lr=2.0, n_steps=n_steps, warmup_fraction=warmup)
    rates = [schedule.lr(step) for step in range(n_steps)]
    assert 0 < min(rates) <= max(rates) <= 2.0 + 1e-12


@pytest.mark.parametrize(
    ("sizes", "n_epochs", "expected"),
    [
        ((48, 64), 4, [48, 48, 64, 64]),
        ((48, 64), 3, [48, 48, 64]),
        ((64,), 3, [64, 64, 64]),
        ((32, 48, 64), 2, [32, 48]),
        ((48, 64), 1, [48]),
    ],
)
def test_the_sizes_share_the_epochs(sizes, n_epochs, expected):
    found = [size_of_epoch(sizes, epoch=e, n_epochs=n_epochs) for e in range(1, n_epochs + 1)]
    assert found == expected


def torch_rates(make, n_steps, lr=0.5):
    """Return the rates of one of torch's schedulers."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    rates = []
    for _ in range(n_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.5])
def test_one_cycle_is_torchs(warmup):
    schedule = Schedule(peak_lr=0.5, n_steps=20, warmup_fraction=warmup, shape="one_cycle")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=20, pct_start=warmup)
    expected = []
    for step in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < 19:
            scheduler.step()
    assert [schedule.lr(step) for step in range(20)] == pytest.approx(expected)


def test_cosine_without_warm_up_is_torchs():
    schedule = Schedule(peak_lr=0.5, n_steps=15, warmup_fraction=0.0, shape="cosine")
    expected = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=15), 15)
    assert [schedule.lr(step) for step in range(15)] == pytest.approx(expected)


def test_cosine_climbs_linearly_first():
    schedule = Schedule(peak_lr=1.0, n_steps=12, warmup_fraction=0.25, shape="cosine")
    rates = [schedule.lr(step) for step in range(12)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[7] == pytest.approx(0.5)  # the middle of the fall: from step 2 to step 12


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_sgdr_is_torchs(factor):
    schedule = Schedule(
        peak_lr=0.5,
        n_steps=30,
        warmup_fraction=0.2,
        shape="sgdr",
        cycle_steps=4,
        cycle_factor=factor,
    )
    expected = torch_rates(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=4, T_mult=factor), 30
    )
    assert [schedule.lr(step) for step in range(30)] == pytest.approx(expected)
