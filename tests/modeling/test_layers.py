"""Layer groups, freezing and precomputed features of several networks."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from modeling_sets import RECIPE, make_split
from torch import nn

from pipeline.core import locks
from pipeline.core.errors import ParamsError
from pipeline.core.locks import held
from pipeline.modeling.feed import head_inputs
from pipeline.modeling.fit import Fitting, weights_of
from pipeline.modeling.layers import body_blocks, frozen, layer_groups, still_layers, train_mode
from pipeline.modeling.precompute import cached_features
from pipeline.modeling.resume import Checkpoints
from pipeline.modeling.zoo import build_model, fit_to_data, head_of, head_parameters


def names_of(model, group):
    ids = {id(p) for p in group}
    return [name.removeprefix("network.") for name, p in model.named_parameters() if id(p) in ids]


def test_three_groups_of_a_resnet_are_those_of_the_lesson():
    model = build_model("resnet18", n_classes=2)
    early, late, head = (names_of(model, group) for group in layer_groups(model, 3))
    assert {name.split(".")[0] for name in early} == {"conv1", "bn1", "layer1", "layer2"}
    assert {name.split(".")[0] for name in late} == {"layer3", "layer4"}
    assert head == ["fc.weight", "fc.bias"]


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "last"), [("vgg16", 21), ("vgg16_bn", 31)])
def test_three_groups_of_a_vgg_are_divided_between_convolutions(arch, last):
    # torchvision's tables: block 4 of VGG16 ends with features.21 (features.31 with batch norm).
    with torch.device("meta"):
        model = build_model(arch, n_classes=2)
    early, late, head = (names_of(model, group) for group in layer_groups(model, 3))
    assert len(body_blocks(model)) == 7  # five of convolutions, two hidden linear layers
    assert {name.split(".")[0] for name in early} == {"features"}
    assert max(int(name.split(".")[1]) for name in early) == last
    assert {name for name in late if name.startswith("classifier")} == {
        *("classifier.0.weight", "classifier.0.bias", "classifier.3.weight", "classifier.3.bias")
    }
    assert head == ["classifier.6.weight", "classifier.6.bias"]


@pytest.mark.parametrize(
    "arch", ["compact", "resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"]
)
@pytest.mark.parametrize("n_groups", [1, 2, 3, 5])
def test_groups_hold_every_parameter_once_in_order_the_head_last(arch, n_groups):
    model = build_model(arch, n_classes=2)
    groups = layer_groups(model, n_groups)
    assert len(groups) == n_groups
    assert all(groups)
    ids = [id(p) for group in groups for p in group]
    assert len(ids) == len(set(ids))
    assert set(ids) == {id(p) for p in model.parameters()}
    if n_groups > 1:
        assert [id(p) for p in groups[-1]] == [id(p) for p in head_parameters(model)]


def test_too_many_groups_are_refused():
    with pytest.raises(ParamsError, match=r"train\.lr_factors: found 9 factors, allowed: at most"):
        layer_groups(build_model("resnet18", n_classes=2), 9)


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v3_small"])
def test_a_frozen_body_keeps_its_weights_and_batch_norm_statistics(arch):
    model = build_model(arch, n_classes=2)
    before = weights_of(model)
    with frozen(still_layers(model, lr_factors=(1.0,), head_alone=True)):
        train_mode(model)
        model(torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8)).sum().backward()
        assert {n for n, p in model.named_parameters() if p.grad is not None} == {
            f"network.{name}" for name in names_of(model, head_parameters(model))
        }
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    train_mode(model)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(m.training for m in norms)


@pytest.mark.parametrize("arch", ["compact", "resnet18"])
def test_the_head_of_the_features_says_what_the_network_says(arch, cpu):
    split = make_split(10)
    model = build_model(arch, n_classes=2).eval()
    features = head_inputs(model, split, compute=cpu, on_batch=lambda n: None)
    with torch.inference_mode():
        expected = model(torch.from_numpy(split.pixels))
        assert torch.allclose(head_of(model)(features), expected, atol=1e-5)


def test_a_network_with_layers_behind_its_head_cannot_be_precomputed(cpu):
    with pytest.raises(ParamsError, match=r"train\.precompute: .*layers behind its head"):
        head_inputs(
            build_model("squeezenet1_1", n_classes=2),
            make_split(4, size_px=64),
            compute=cpu,
            on_batch=lambda n: None,
        )


def test_a_training_waits_while_another_one_computes_the_same_features(
    train_split, valid_split, cpu, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)
    caplog.set_level("INFO")
    model, folder = build_model("compact", n_classes=2), tmp_path / "f"
    with ThreadPoolExecutor(1) as pool, held(folder, owner="the first"):
        second = pool.submit(
            cached_features, model, train_split, valid_split, compute=cpu, folder=folder
        )
        while "computes the same features; waiting for them" not in caplog.text:
            assert not second.done(), second.result()
            time.sleep(0.05)
        values = {"train": torch.ones(3, 2), "valid": torch.zeros(1, 2)}
        Checkpoints(folder, kept=1).save(values, epoch=0, step=0)
        assert not second.done()
    assert torch.equal(second.result().train, values["train"])


def test_features_are_computed_once_and_train_the_head_alone(
    train_split, valid_split, cpu, tmp_path, monkeypatch
):
    model = build_model("compact", n_classes=2)
    fit_to_data(model, train_split)
    first = cached_features(model, train_split, valid_split, compute=cpu, folder=tmp_path / "f")
    monkeypatch.setattr("pipeline.modeling.precompute.head_inputs", None)  # not called again
    again = cached_features(model, train_split, valid_split, compute=cpu, folder=tmp_path / "f")
    assert torch.equal(first.train, again.train)
    assert torch.equal(first.valid, again.valid)
    recipe = dataclasses.replace(
        RECIPE, optimizer="adamw", lr=0.02, freeze_epochs=8, epochs=1, precompute=True
    )
    before = weights_of(model)
    fit = Fitting(model, train_split, valid_split, recipe, compute=cpu, features=again)
    records = []
    for record in fit.run():
        records.append(record)
        if record.epoch == 8:
            break
    changed = {n for n, v in weights_of(model).items() if not torch.equal(v, before[n])}
    assert changed == {"network.fc.weight", "network.fc.bias"}
    assert records[-1].train_loss < records[0].train_loss
    assert records[-1].valid_accuracy > 0.9  # of 32; chance is 0.5 with deviation 0.09
    assert records[-1].size_px == 32
