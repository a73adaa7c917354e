"""Training learns, is repeatable, keeps what is frozen, and stops when it must."""

import dataclasses

import pytest
import torch
from modeling_sets import RECIPE, make_split
from torch import nn

from pipeline.core.artifacts import EpochRecord
from pipeline.core.errors import ParamsError, TrainingError
from pipeline.modeling.fit import Fitting, weights_of
from pipeline.modeling.recipe import Phase, average_decay, out_of_patience
from pipeline.modeling.zoo import build_model, fit_to_data


def trained(train, valid, compute, **changes):
    model = build_model("compact", n_classes=2, seed=0)
    fit_to_data(model, train)
    recipe = dataclasses.replace(RECIPE, **changes)
    results = list(Fitting(model, train, valid, recipe, compute=compute).run())
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
    phases = Fitting(model, train_split, valid_split, recipe, compute=cpu).run()
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


def test_a_loss_that_climbs_stops_the_run_with_the_advice_of_the_lesson(
    train_split, valid_split, cpu
):
    with pytest.raises(
        TrainingError,
        match=r"epoch 2: the training loss climbed from .* to .*; "
        r"the learning rate is likely too high: lower train\.lr, to 10 for a start",
    ):
        trained(
            train_split, valid_split, cpu, optimizer="sgd", lr=30.0, warmup_fraction=0.95, epochs=8
        )


def test_training_stops_after_patience_without_a_better_epoch(train_split, cpu):
    # Validation labels that have nothing to do with the images: what is learned makes them worse.
    valid = make_split(32, seed=1)
    turned = dataclasses.replace(valid, labels=1 - valid.labels)
    _, results = trained(train_split, turned, cpu, optimizer="sgd", lr=0.02, epochs=9, patience=2)
    losses = [r.valid_loss for r in results]
    assert len(losses) < 9
    assert len(losses) == losses.index(min(losses)) + 1 + 2


def test_without_patience_every_epoch_is_trained_and_the_best_weights_are_kept(train_split, cpu):
    valid = make_split(32, seed=1)
    turned = dataclasses.replace(valid, labels=1 - valid.labels)
    model = build_model("compact", n_classes=2, seed=0)
    recipe = dataclasses.replace(RECIPE, optimizer="sgd", lr=0.02, epochs=4)
    fitting, seen = Fitting(model, train_split, turned, recipe, compute=cpu), []
    for _ in fitting.run():
        seen.append(weights_of(model))
    (kept,) = [r.epoch for r in fitting.history if r.kept]
    assert kept < 4
    assert all(torch.equal(fitting.best[n], v) for n, v in seen[kept - 1].items())
    assert any(r.overfitting for r in fitting.history)


def test_the_average_of_the_weights_is_what_is_kept(train_split, valid_split, cpu):
    model = build_model("compact", n_classes=2, seed=0)
    recipe = dataclasses.replace(RECIPE, epochs=1, ema_decay=0.999)
    fitting, after = Fitting(model, train_split, valid_split, recipe, compute=cpu), []
    list(fitting.run(lambda n: after.append(weights_of(model)) if n else None))
    name = "network.fc.weight"
    # torch's average begins with the weights after the first step; (1 + n) / (10 + n) is kept.
    expected = after[0][name]
    for kept, weights in zip((2 / 11, 3 / 12, 4 / 13), after[1:], strict=True):
        expected = kept * expected + (1 - kept) * weights[name]
    assert torch.allclose(fitting.best[name], expected, atol=1e-6)
    assert not torch.equal(fitting.best[name], after[-1][name])


def test_the_average_keeps_no_more_than_is_asked_for():
    kept = [average_decay(n, most=0.9) for n in (1, 8, 80, 81, 1000)]
    assert kept == pytest.approx([2 / 11, 0.5, 0.9, 0.9, 0.9])


def test_an_average_over_a_short_training_has_learned_what_the_network_has(
    train_split, valid_split, cpu
):
    _, results = trained(train_split, valid_split, cpu, epochs=8, ema_decay=0.999)
    assert results[-1].valid_accuracy > 0.9  # of 32 images; chance is 0.5 with deviation 0.09


def test_what_is_left_is_counted_in_images_that_there_are(cpu):
    few, seen = make_split(10), []
    recipe = dataclasses.replace(RECIPE, batch_size=64, epochs=3)
    model = build_model("compact", n_classes=2, seed=0)
    fitting = Fitting(model, few, few, recipe, compute=cpu)
    list(fitting.run(lambda n: seen.append((n, fitting.images_left))))
    assert [left for n, left in seen if n] == [20, 10, 0]


def test_in_the_epochs_of_the_head_the_advice_names_its_rate(train_split, valid_split, cpu):
    rates = {"optimizer": "sgd", "lr": 0.01, "head_lr": 1e38}
    with pytest.raises(TrainingError, match=r"lower train\.head_lr, to 3\.3e\+37 for a start"):
        trained(train_split, valid_split, cpu, freeze_epochs=2, **rates)


@pytest.mark.parametrize(
    ("changes", "restarts"),
    [
        ({"epochs": 3}, set()),
        ({"epochs": 2, "freeze_epochs": 2}, {3}),
        ({"epochs": 7, "schedule": "sgdr", "cycle_factor": 2}, {2, 4}),
        ({"epochs": 3, "freeze_epochs": 2, "schedule": "sgdr"}, {2, 3, 4, 5}),
    ],
)
def test_a_schedule_that_begins_anew_is_told(train_split, valid_split, cpu, changes, restarts):
    _, results = trained(train_split, valid_split, cpu, optimizer="sgd", **changes)
    assert {r.epoch for r in results if r.restart} == restarts


@pytest.mark.parametrize(
    ("losses", "over"),
    [((3, 2, 2.5, 2.6), True), ((3, 2, 2.5), False), ((3, 2, 2, 2.5), False), ((2, 2, 2), False)],
)
def test_patience_counts_from_the_epoch_that_is_kept_the_last_of_equals(losses, over):
    recipe = dataclasses.replace(RECIPE, epochs=9, patience=2)
    history = [
        EpochRecord(
            epoch=i, lr=1, size_px=8, train_loss=1, valid_loss=x, valid_accuracy=1, kept=False
        )
        for i, x in enumerate(losses, start=1)
    ]  # fmt: skip
    assert out_of_patience(recipe, Phase(epochs=range(1, 10)), history) is over


def test_layers_whose_factor_is_zero_stay_and_so_do_the_statistics_of_their_batch_norm(
    train_split, valid_split, cpu
):
    model = build_model("resnet18", n_classes=2)
    before = weights_of(model)
    recipe = dataclasses.replace(RECIPE, epochs=1, lr_factors=(0.0, 0.0, 1.0))
    list(Fitting(model, train_split, valid_split, recipe, compute=cpu).run())
    after = weights_of(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"network.fc.weight", "network.fc.bias"}
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_training_without_a_factor_above_zero_is_refused(train_split, valid_split, cpu):
    with pytest.raises(ParamsError, match=r"train\.lr_factors: found no factor above 0"):
        trained(train_split, valid_split, cpu, lr_factors=(0.0, 0.0))


@pytest.mark.parametrize(
    "changes",
    [
        {"mixup": 0.2, "cutmix": 1.0},
        {"erasing": 0.3, "jitter": 0.2},
        {"balance": "weights", "clip_norm": 1.0},
        {"balance": "sampler", "accumulate": 2},
        {"lr_factors": (0.3, 1.0)},
    ],
)
def test_each_option_still_learns(train_split, valid_split, cpu, changes):
    _, results = trained(train_split, valid_split, cpu, epochs=8, **changes)
    assert results[-1].train_loss < results[0].train_loss
    assert results[-1].valid_accuracy > 0.75  # of 32 images; chance is 0.5 with deviation 0.09


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
    (result,) = Fitting(Constant(), train_split, valid_split, recipe, compute=cpu).run()
    assert result.train_loss == pytest.approx(0.6931472, abs=1e-6)  # ln 2
    assert result.valid_loss == pytest.approx(0.6931472, abs=1e-6)
    assert result.valid_accuracy == 0.5
