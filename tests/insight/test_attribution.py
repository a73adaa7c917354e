"""Heat-maps, against the class activation maps that the exported graph computes by itself."""

import io

import numpy as np
import onnxruntime
import pytest
import torch

from pipeline.export.onnx_file import to_onnx
from pipeline.imaging.spec import ModelSpec, PreprocessSpec
from pipeline.insight.attribution import heat_maps
from pipeline.insight.inspection import last_map, maps_of
from pipeline.modeling.zoo import build_model

CLASSES = np.array([0, 1, 2, 1])


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["compact", "shufflenet_v2_x0_5"])
def test_with_an_average_and_a_linear_head_the_map_is_the_exact_one(arch):
    side = 7 * {"compact": 16, "shufflenet_v2_x0_5": 32}[arch]  # fine enough by itself
    images = np.random.default_rng(5).integers(0, 256, (4, side, side, 3), dtype=np.uint8)
    spec = ModelSpec(arch=arch, classes=("a", "b", "c"), preprocess=PreprocessSpec(size_px=side))
    model = build_model(arch, n_classes=3, seed=1).eval()
    content = to_onnx(model, spec, opset=20, metadata={}, exporter="legacy")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (cam,) = session.run(["cam"], {"pixels": images})
    evidence = cam[np.arange(4), CLASSES] - cam.mean(axis=1)
    expected = np.maximum(evidence, 0)
    expected /= np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-30)
    maps = heat_maps(model, images, CLASSES)
    assert maps == pytest.approx(expected, abs=1e-4)
    assert maps.any()


@pytest.mark.parametrize(
    ("arch", "layer"),
    [
        ("compact", "stages"),
        ("resnet18", "layer4"),
        ("vgg11", "features.19"),  # the ReLU before the last pooling
        ("squeezenet1_1", "classifier.2"),
        ("mobilenet_v3_small", "features"),
    ],
)
def test_the_last_map_before_the_pooling_is_found(arch, layer):
    model = build_model(arch, n_classes=3, seed=1).eval()
    found = last_map(maps_of(model, image_px=(64, 64)), side=2)
    assert found.module is model.network.get_submodule(layer)


@pytest.mark.parametrize("arch", ["alexnet", "resnet18", "squeezenet1_1"])
def test_any_network_has_a_map_between_0_and_1_whatever_the_batch_size(arch, images):
    model = build_model(arch, n_classes=3, seed=1)
    maps = heat_maps(model, images, CLASSES)
    assert maps.dtype == np.float32
    assert set(maps.max(axis=(1, 2)).tolist()) <= {0.0, 1.0}
    assert maps.min() >= 0
    assert heat_maps(model, images, CLASSES, batch_size=3) == pytest.approx(maps, abs=1e-5)


def test_the_model_is_left_as_it_was(images):
    model = build_model("resnet18", n_classes=3, seed=1).train()
    model.network.bn1.eval()
    model.network.conv1.weight.requires_grad_(False)
    before = _snapshot(model)
    heat_maps(model, images, CLASSES)
    assert _snapshot(model) == before
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())


def test_it_works_where_gradients_are_switched_off(images):
    model = build_model("compact", n_classes=3, seed=1)
    expected = heat_maps(model, images, CLASSES)
    with torch.no_grad():
        assert (heat_maps(model, images, CLASSES) == expected).all()


def test_no_images_make_no_maps(images):
    model = build_model("compact", n_classes=3, seed=1)
    assert heat_maps(model, images[:0], CLASSES[:0]).shape == (0, 8, 8)


def _snapshot(model):
    state = io.BytesIO()
    torch.save(model.state_dict(), state)
    flags = [(p.requires_grad, p.grad is None) for p in model.parameters()]
    return state.getvalue(), flags, [m.training for m in model.modules()]
