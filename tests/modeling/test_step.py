"""One step, worked by hand or by torch's and scikit-learn's own."""

import copy

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional as F

from pipeline.modeling.batches import epoch_order
from pipeline.modeling.optimizers import build_optimizer, set_lr
from pipeline.modeling.step import all_finite, balancing_weights, train_step

LABELS = np.array([0] * 6 + [1] * 3 + [2])


def linear():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def batch(n=12):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 4, generator=generator), torch.arange(n) % 3


def stepped(cpu, **options):
    model, (inputs, targets) = linear(), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    smoothing = options.pop("label_smoothing", 0.0)
    loss = train_step(
        model, optimizer, inputs, targets, label_smoothing=smoothing, compute=cpu, **options
    )
    return model, float(loss)


@pytest.mark.parametrize("parts", [2, 3, 5, 12])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.2, 1.0, 3.0])])
def test_a_batch_in_parts_takes_the_step_of_the_whole(cpu, parts, weights):
    whole, loss = stepped(cpu, class_weights=weights, label_smoothing=0.1)
    found, found_loss = stepped(cpu, class_weights=weights, label_smoothing=0.1, parts=parts)
    assert found_loss == pytest.approx(loss, rel=1e-6)
    assert torch.allclose(found.weight, whole.weight, atol=1e-6)
    assert not torch.allclose(found.weight, linear().weight, atol=1e-3)


@pytest.mark.parametrize(
    ("n", "parts", "sizes"), [(10, 4, [3, 3, 2, 2]), (3, 2, [3]), (5, 9, [3, 2])]
)
def test_no_part_is_a_single_image_which_batch_norm_would_refuse(cpu, n, parts, sizes):
    model, seen = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), []
    model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    train_step(model, optimizer, *batch(n), label_smoothing=0.0, compute=cpu, parts=parts)
    assert seen == sizes


def test_a_gradient_is_clipped_to_the_norm_asked_for(cpu):
    model = stepped(cpu, clip_norm=0.01)[0]
    before = linear()
    pairs = zip(model.parameters(), before.parameters(), strict=True)
    step = [a.detach() - b.detach() for a, b in pairs]
    # With a rate of 1 the step is the gradient; torch adds 1e-6 to the norm it divides by.
    assert float(torch.cat([s.flatten() for s in step]).norm()) == pytest.approx(0.01, rel=1e-3)


def test_class_weights_weigh_the_mean(cpu):
    weights = torch.tensor([0.5, 1.0, 4.0])
    inputs, targets = batch()
    losses = F.cross_entropy(linear()(inputs).detach(), targets, reduction="none")
    expected = (losses * weights[targets]).sum() / weights[targets].sum()
    assert stepped(cpu, class_weights=weights)[1] == pytest.approx(float(expected), rel=1e-6)


def test_balancing_weights_are_those_of_scikit_learn():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    assert balancing_weights(LABELS, n_classes=3).tolist() == pytest.approx(expected.tolist())
    assert balancing_weights(LABELS, n_classes=4)[3] == 0


def test_a_balanced_order_shows_every_class_equally_often_and_is_as_long():
    order = epoch_order(LABELS, seed=0, epoch=1, balanced=True)
    assert len(order) == 10
    assert np.bincount(LABELS[order]).tolist() in ([3, 4, 3], [4, 3, 3], [3, 3, 4])
    counts = np.bincount(order, minlength=10)
    assert counts[:6].max() == 1  # the common class: no image twice
    assert np.ptp(counts[6:9]) <= 1  # the middle one: equally often
    again = epoch_order(LABELS, seed=0, epoch=1, balanced=True)
    other = epoch_order(LABELS, seed=0, epoch=2, balanced=True)
    assert np.array_equal(order, again)
    assert not np.array_equal(order, other)


def test_groups_follow_their_factor_of_the_rate():
    for name in ("sgd", "adamw", "muon"):
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        groups = [list(layer.parameters()) for layer in model]
        optimizer = build_optimizer(
            name,
            model,
            lr=0.1,
            weight_decay=0.0,
            bf16=False,
            groups=groups,
            lr_factors=(0.0, 1.0),
        )
        set_lr(optimizer, 0.2)
        before = copy.deepcopy(model)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        assert torch.equal(model[0].weight, before[0].weight)
        assert not torch.equal(model[1].weight, before[1].weight)
        assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.2]


def test_finiteness_of_many_tensors_at_once():
    assert all_finite([torch.ones(2), torch.tensor(3)])
    assert not all_finite([torch.ones(2), torch.tensor([1.0, float("inf")])])
    assert not all_finite([torch.tensor(float("nan"))])
    assert all_finite([])
