"""Class activation maps, worked out by hand from the network's own layers."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from pipeline.core.errors import ArtifactError
from pipeline.export.cam import add_cam
from pipeline.export.onnx_file import to_onnx
from pipeline.imaging.spec import ModelSpec, PreprocessSpec
from pipeline.inference.classifier import OnnxClassifier
from pipeline.modeling.zoo import build_model

pytestmark = pytest.mark.slow


def exported(arch: str, save, **options):
    spec = ModelSpec(arch=arch, classes=("a", "b", "c"), preprocess=PreprocessSpec(size_px=64))
    model = build_model(arch, n_classes=3, seed=1).eval()
    content = to_onnx(model, spec, opset=20, metadata={}, **options)
    return model, OnnxClassifier(save(content), device="cpu")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


def test_the_map_of_compact_is_the_head_applied_at_every_place(save, images):
    model, classifier = exported("compact", save)
    with torch.no_grad():
        features = torch.relu(model.network.whiten(model.normalize(torch.from_numpy(images))))
        features = model.network.stages(features)
        head = model.network.fc
        by_hand = torch.einsum("kc,nchw->nkhw", head.weight, features)
    probs, cam = classifier.predict_with_cam(images)
    assert cam.shape == (4, 3, 4, 4)  # four stages halve 64 four times
    assert cam == pytest.approx(by_hand.numpy(), abs=1e-5)
    assert probs == pytest.approx(classifier.predict(images), abs=1e-7)


@pytest.mark.parametrize(
    ("arch", "exporter"),
    [
        ("compact", "dynamo"),
        ("compact", "legacy"),
        ("resnet18", "dynamo"),
        ("mobilenet_v2", "legacy"),
    ],
)
def test_mean_over_space_plus_bias_is_the_logit(arch, exporter, save, images):
    model, classifier = exported(arch, save, exporter=exporter)
    bias = [p for p in model.parameters() if p.dim() == 1][-1].detach().numpy()
    cam, logits = classifier.run(images, ["cam", "logits"])
    assert cam.mean(axis=(2, 3)) + bias == pytest.approx(logits, abs=1e-5)
    assert classifier.metadata["cam"] == "true"


@pytest.mark.parametrize("arch", ["mobilenet_v3_small", "squeezenet1_1"])
def test_networks_without_an_exact_map_have_none(arch, save, images):
    # Two linear layers after the mean; and a ReLU between the last convolution and the mean.
    _, classifier = exported(arch, save, exporter="legacy")
    assert classifier.outputs == ("probabilities", "logits")
    assert classifier.metadata["cam"] == "false"
    with pytest.raises(ArtifactError, match="no output cam, it has probabilities, logits"):
        classifier.predict_with_cam(images)


def test_the_map_can_be_switched_off(save):
    _, classifier = exported("compact", save, cam=False)
    assert (classifier.outputs, classifier.metadata["cam"]) == (
        ("probabilities", "logits"),
        "false",
    )


@pytest.mark.parametrize(("axes", "exact"), [([2, 3], True), ([-1, -2], True), ([1, 2], False)])
def test_only_a_mean_over_space_counts(axes, exact):
    side = 4  # C = h = w, so that every mean has a shape that fits
    nodes = [
        helper.make_node("ReduceMean", ["features", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight", "bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", side, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [
            numpy_helper.from_array(np.array(axes, np.int64), "axes"),
            numpy_helper.from_array(np.ones((2, side), np.float32), "weight"),
            numpy_helper.from_array(np.zeros(2, np.float32), "bias"),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    before = proto.SerializeToString()
    assert add_cam(proto) is exact
    onnx.checker.check_model(proto, full_check=True)
    assert exact or proto.SerializeToString() == before
