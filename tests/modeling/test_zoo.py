"""Networks by name, with a head for any number of classes."""

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from torchvision import models

from pipeline.core.errors import ParamsError
from pipeline.imaging.preprocess import PAD_COLOUR
from pipeline.imaging.spec import PreprocessSpec
from pipeline.modeling import zoo
from pipeline.modeling.compact import Compact
from pipeline.modeling.layers import layer_groups
from pipeline.modeling.zoo import (
    Classifier,
    build_model,
    fit_to_data,
    head_parameters,
    initial_model,
    without_head,
)
from pipeline.packing.packed import PackedSplit

LIGHT = [
    "compact",
    "efficientnet_lite0",
    "resnet18",
    "mobilenet_v3_small",
    "squeezenet1_1",
    "shufflenet_v2_x0_5",
]
NAMED = [
    *("resnet34", "resnet50", "vgg16", "vgg16_bn", "mobilenet_v3_large", "efficientnet_b0"),
    *("convnext_tiny", "googlenet", "densenet121", "alexnet"),
]

TIMM = [
    *(("resnet18", 64), ("convnext_atto", 64), ("vit_tiny_patch16_224", 224)),
    *(("mobilenetv3_small_050", 64), ("mobilenetv4_conv_small", 64), ("efficientnet_b0", 64)),
    *(("regnety_002", 64), ("densenet121", 64), ("levit_128s", 224), ("visformer_tiny", 224)),
    *(("convnextv2_atto", 64), ("edgenext_xx_small", 64), ("ghostnet_100", 64)),
    *(("tf_efficientnet_lite0", 64), ("nf_resnet26", 64), ("resmlp_12_224", 224)),
]
"""One a family, and a side in pixels that it takes."""


@pytest.mark.parametrize("arch", LIGHT)
def test_a_network_takes_uint8_pixels_of_two_sizes_and_gives_k_logits(arch):
    model = build_model(arch, n_classes=5).eval()
    for size in (64, 96):
        with torch.inference_mode():
            assert model(torch.zeros((2, size, size, 3), dtype=torch.uint8)).shape == (2, 5)
    assert sum(p.numel() for p in head_parameters(model)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("arch", NAMED)
def test_the_named_networks_train_a_step(arch):
    model = build_model(arch, n_classes=3).train()
    logits = model(torch.zeros((2, 96, 96, 3), dtype=torch.uint8))
    assert logits.shape == (2, 3)
    logits.sum().backward()
    assert all(p.grad is not None for p in head_parameters(model))


def test_the_first_layer_normalises_with_the_statistics_of_imagenet():
    pixels = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    found = Classifier(torch.nn.Identity()).normalize(pixels).flatten()
    # (0 - 0.485) / 0.229, (128/255 - 0.456) / 0.224, (1 - 0.406) / 0.225
    assert found.tolist() == pytest.approx([-2.117904, 0.205182, 2.64], abs=1e-5)


def test_the_colour_of_padding_is_nothing_to_the_network():
    pixels = torch.tensor(PAD_COLOUR, dtype=torch.uint8).view(1, 1, 1, 3)
    found = Classifier(torch.nn.Identity()).normalize(pixels)
    assert found.abs().max() < 0.01  # the smallest step of a channel is 0.017


def test_the_same_seed_gives_the_same_weights_and_leaves_global_randomness_alone():
    state = torch.get_rng_state()
    a, b, c = (build_model("compact", n_classes=2, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["network.fc.weight"], c["network.fc.weight"])
    assert torch.equal(torch.get_rng_state(), state)


def test_whitening_makes_patches_uncorrelated_with_unit_variance():
    rng = np.random.default_rng(0)
    smooth = rng.normal(128, 30, (64, 9, 9, 3)) + rng.normal(0, 30, (64, 1, 1, 1))
    pixels = smooth.clip(0, 255).astype(np.uint8)
    split = PackedSplit(pixels, np.zeros(64, np.int64), ("c/1",) * 64)
    model = build_model("compact", n_classes=2)
    fit_to_data(model, split)
    images = model.normalize(torch.from_numpy(pixels))
    inner = model.network.whiten(images)[:, :12, 1:-1, 1:-1]  # without the padded border
    outputs = inner.permute(0, 2, 3, 1).reshape(-1, 12).double()
    second_moment = outputs.T @ outputs / len(outputs)
    assert torch.allclose(second_moment, torch.eye(12).double(), atol=0.05)
    assert torch.equal(model.network.whiten.weight[12:], -model.network.whiten.weight[:12])


def test_whitening_in_slices_is_that_of_all_patches_at_once():
    pixels = np.random.default_rng(1).integers(0, 256, (100, 7, 7, 3), dtype=np.uint8)
    split = PackedSplit(pixels, np.zeros(100, np.int64), ("c/1",) * 100)
    model = build_model("compact", n_classes=2)
    fit_to_data(model, split)
    sliced = model.network.whiten.weight.clone()
    model.network.fit_whitening([model.normalize(torch.from_numpy(pixels))])
    assert torch.allclose(sliced, model.network.whiten.weight, atol=1e-5)


def test_a_file_of_weights_brings_its_own_whitening(tmp_path):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    split = PackedSplit(pixels, np.zeros(20, np.int64), ("c/1",) * 20)
    options = {"n_classes": 2, "seed": 0, "train": split}
    trained = build_model("compact", n_classes=2, seed=5)
    torch.save(trained.state_dict(), tmp_path / "start.pt")
    started = initial_model("compact", weights=str(tmp_path / "start.pt"), **options)
    assert torch.equal(started.network.whiten.weight, trained.network.whiten.weight)
    scratch = initial_model("compact", weights="none", **options)
    expected = build_model("compact", n_classes=2, seed=0)
    fit_to_data(expected, split)
    assert torch.equal(scratch.network.whiten.weight, expected.network.whiten.weight)


@pytest.mark.parametrize("arch", ["googlenet", "inception_v3"])
def test_networks_with_auxiliary_heads_are_the_same_with_and_without_pretrained_weights(
    arch, tmp_path, monkeypatch
):
    def published(name, *, weights, **options):  # as torchvision builds it, without the download
        made = models.get_model_builder(name)
        options = {"init_weights": False} if weights else options
        network = made(weights=None, transform_input=bool(weights), **options)
        if weights and name == "googlenet":
            network.aux_logits, network.aux1, network.aux2 = False, None, None
        return network

    monkeypatch.setattr(models, "get_model", published)
    pretrained = build_model(arch, n_classes=3, weights="imagenet")
    torch.save(pretrained.state_dict(), tmp_path / "model.pt")
    again = build_model(arch, n_classes=3, weights=str(tmp_path / "model.pt"), seed=1)
    pixels = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    assert pretrained.train()(pixels).shape == (2, 3)  # the auxiliary head takes 299 px alone
    again.load_state_dict(pretrained.state_dict())
    with torch.inference_mode():
        assert torch.equal(again.eval()(pixels), pretrained.eval()(pixels))


@pytest.mark.parametrize(
    "content", [{"state": torch.zeros(2)}, {0: torch.zeros(2)}, {"state": {1: torch.zeros(2)}}]
)
def test_a_file_that_holds_no_state_dict_is_one_line(content, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ParamsError, match="holds no state dict"):
        build_model("compact", n_classes=2, weights=str(tmp_path / "a.pt"))


def test_an_unknown_architecture_lists_what_is_known():
    with pytest.raises(ParamsError, match=r"^model\.arch: found 'resnet19', allowed: compact, .*"):
        build_model("resnet19", n_classes=2)


def test_compact_has_no_published_weights():
    with pytest.raises(ParamsError, match=r"^model\.weights: found imagenet, allowed for compact"):
        build_model("compact", n_classes=2, weights="imagenet")


def test_imagenet_weights_load_through_torchvision_with_a_new_head(tmp_path, monkeypatch):
    # The file that torchvision would have downloaded, made here: its real loading code reads it.
    torch.hub.set_dir(str(tmp_path))
    name = models.ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[1]
    (tmp_path / "checkpoints").mkdir()
    original = models.resnet18(weights=None)
    torch.save(original.state_dict(), tmp_path / "checkpoints" / name)
    model = build_model("resnet18", n_classes=3, weights="imagenet")
    assert torch.equal(model.network.conv1.weight, original.conv1.weight)
    assert model.network.fc.out_features == 3


def test_without_a_network_the_message_names_the_cure(tmp_path, monkeypatch):
    torch.hub.set_dir(str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(
        ParamsError, match=r"resnet18 cannot be downloaded .*fetch http\S*/resnet18-\S*\.pth into"
    ):
        build_model("resnet18", n_classes=2, weights="imagenet")


def test_without_a_network_timms_weights_are_named_too(monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError("no network")

    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_hf", refuse)
    with pytest.raises(
        ParamsError, match=r"fetch model.safetensors of timm/convnext_atto.d2_in1k .*model.weights"
    ):
        build_model("timm/convnext_atto.d2_in1k", n_classes=2, weights="imagenet")


@pytest.mark.parametrize("arch", ["efficientnet_lite0", "timm/resnet19"])
def test_a_name_that_is_no_network_is_refused(arch):
    with pytest.raises(ParamsError, match=r"model\.arch: found"):
        build_model(f"{arch}x", n_classes=2)


@pytest.mark.parametrize("size_px", [64, 97])
def test_efficientnet_lite_is_timms_with_the_same_weights(size_px):
    model = build_model("efficientnet_lite0", n_classes=3, weights="imagenet").eval()
    other = timm.create_model("tf_efficientnet_lite0", num_classes=3).eval()
    own = model.network.state_dict()
    other.load_state_dict(dict(zip(other.state_dict(), own.values(), strict=True)))
    images = torch.randn(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(model.network(images), other(images), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "size_px"), TIMM)
def test_networks_of_timm_take_the_head_and_the_layer_groups(arch, size_px):
    model = build_model(f"timm/{arch}", n_classes=3).train()
    logits = model(torch.zeros((2, size_px, size_px, 3), dtype=torch.uint8))
    assert logits.shape == (2, 3)
    logits.sum().backward()
    assert {len(p) for p in head_parameters(model)} == {3}
    assert all(p.grad is not None for p in head_parameters(model))
    groups = layer_groups(model, 3)
    assert all(groups)
    assert sum(map(len, groups)) == len(list(model.parameters()))
    assert len(without_head(model)) < len(model.state_dict())


def test_weights_of_safetensors_are_read(tmp_path):
    path, source = tmp_path / "w.safetensors", Compact(2)
    safetensors.torch.save_file(source.state_dict(), path)
    model = build_model("compact", n_classes=2, weights=str(path))
    assert torch.equal(model.network.fc.weight, source.fc.weight)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ParamsError, match="cannot be read"):
        build_model("compact", n_classes=2, weights=str(path))


def test_the_first_layer_takes_the_statistics_of_the_weights():
    spec = PreprocessSpec(size_px=8, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    model = build_model("compact", n_classes=2, preprocess=spec)
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    # (x - 127) / 128
    assert model.normalize(pixels).flatten().tolist() == pytest.approx([-127 / 128, 0, 1])


@pytest.mark.parametrize("commercial", [True, False])
def test_weights_that_forbid_commerce_say_so(commercial, caplog, monkeypatch):
    arch = "timm/resnet18.a1_in1k" if commercial else "timm/convnextv2_atto.fcmae_ft_in1k"
    monkeypatch.setattr(
        zoo, "_build_network", lambda arch, n_classes, pretrained: torch.nn.Linear(1, n_classes)
    )
    initial_model(arch, n_classes=2, weights="imagenet", seed=0, train=None)
    assert ["no commercial use" in m for m in caplog.messages] == ([] if commercial else [True])


def test_weights_from_a_file_fit_another_number_of_classes(tmp_path):
    path = tmp_path / "w.pt"
    source = Compact(7)
    torch.save(source.state_dict(), path)
    model = build_model("compact", n_classes=2, weights=str(path))
    assert torch.equal(model.network.whiten.weight, source.whiten.weight)
    assert model.network.fc.out_features == 2


def test_files_that_hold_no_weights_are_refused(tmp_path):
    (tmp_path / "text").write_text("no weights")
    torch.save([1, 2], tmp_path / "list")
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "other")
    for name, message in [
        ("text", "is not a file of weights"),
        ("list", "holds no state dict"),
        ("other", "does not fit model.arch"),
        ("missing", "allowed: none, imagenet, or the path"),
    ]:
        with pytest.raises(ParamsError, match=message):
            build_model("compact", n_classes=2, weights=str(tmp_path / name))


def test_a_hostile_pickle_is_refused_and_runs_no_code(tmp_path):
    canary = tmp_path / "canary"

    class Hostile:
        def __reduce__(self):
            return (open, (str(canary), "w"))

    torch.save(Hostile(), tmp_path / "h.pt")
    with pytest.raises(ParamsError, match="is not a file of weights"):
        build_model("compact", n_classes=2, weights=str(tmp_path / "h.pt"))
    assert not canary.exists()
