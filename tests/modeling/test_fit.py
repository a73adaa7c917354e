"""Training learns, is repeatable, keeps what is frozen, and stops when it must."""

import dataclasses

import pytest
import torch
from modeling_sets import RECIPE
from torch import nn

from pipeline.core.errors import TrainingError
from pipeline.modeling.fit import fit, fit_in_phases, weights_of
from pipeline.modeling.zoo import build_model, fit_to_data


def trained(train, valid, compute, **changes):
    model = build_model("compact", n_classes=2, seed=0)
    fit_to_data(model, train)
    recipe = dataclasses.replace(RECIPE, **changes)
    results = list(fit_in_phases(model, train, valid, recipe, compute=compute))
    return model, results


@pytest.mark.parametrize(("optimizer", "lr"), [("muon", 0.02), ("sgd", 0.02), ("adamw", 0.002)])
def test_each_optimizer_learns_where_the_light_is(train_split, valid_split, cpu, optimizer, lr):
    _, results = trained(train_split, valid_split, cpu, optimizer=optimizer, lr=lr, epochs=6)
    assert results[-1].train_loss < 0.5 * results[0].train_loss
    assert results[-1].valid_accuracy > 0.9  # of 32 images; chance is 0.5 with deviation 0.09


def test_training_twice_gives_the_same_bytes(train_split, valid_split, cpu):
    first, again = (trained(train_split, valid_split, cpu)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_sizes_and_rates_of_the_epochs_are_reported(train_split, valid_split, cpu):
    _, results = trained(train_split, valid_split, cpu, warmup_fraction=0.0)
    assert [(r.epoch, r.size_px) for r in results] == [(1, 24), (2, 32)]
    # Eight steps from 0.02 to 0.02 / 8; the first epoch ends with the fourth.
    assert [r.lr for r in results] == pytest.approx([0.02 * 5 / 8, 0.02 / 8])


def test_frozen_epochs_train_the_head_alone(train_split, valid_split, cpu):
    model = build_model("compact", n_classes=2)
    fit_to_data(model, train_split)
    before = weights_of(model)
    recipe = dataclasses.replace(RECIPE, freeze_epochs=1, epochs=1)
    phases = fit_in_phases(model, train_split, valid_split, recipe, compute=cpu)
    next(phases)
    after = weights_of(model)
    assert {n for n in before if not torch.equal(before[n], after[n])} == {
        "network.fc.weight",
        "network.fc.bias",
    }
    next(phases)
    unfrozen = weights_of(model)
    same = {n for n in after if torch.equal(after[n], unfrozen[n])}
    assert same == {"mean", "std", "network.whiten.weight"}


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(train_split, valid_split, cpu):
    with pytest.raises(
        TrainingError, match=r"the (validation )?loss is (nan|inf); .*lower train\.lr"
    ):
        trained(train_split, valid_split, cpu, optimizer="sgd", lr=1000.0, epochs=8)


class Constant(nn.Module):
    """A network that says the same whatever it sees; to check the arithmetic of losses."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 2)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, pixels):
        return self.fc(torch.ones(len(pixels), 1))


def test_losses_are_mean_cross_entropies(train_split, valid_split, cpu):
    recipe = dataclasses.replace(RECIPE, optimizer="sgd", lr=1e-12, epochs=1)
    (result,) = fit(Constant(), train_split, valid_split, recipe, epochs=range(1, 2), compute=cpu)
    assert result.train_loss == pytest.approx(0.6931472, abs=1e-6)  # ln 2
    assert result.valid_loss == pytest.approx(0.6931472, abs=1e-6)
    assert result.valid_accuracy == 0.5
