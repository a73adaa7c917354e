"""The exported file answers as the checkpoint does, and the gate notices when it does not."""

import numpy as np
import onnx
import pytest
import torch

from pipeline.core.atomic import write_bytes, write_sha256
from pipeline.core.errors import ExportError
from pipeline.export.onnx_file import to_onnx
from pipeline.export.parity import measure_parity, require_parity, with_extremes
from pipeline.export.repository import write_repository
from pipeline.imaging.spec import ModelSpec, PreprocessSpec
from pipeline.inference.classifier import OnnxClassifier
from pipeline.modeling.device import Compute
from pipeline.modeling.zoo import build_model

pytestmark = pytest.mark.slow

CPU = Compute(device=torch.device("cpu"), bf16=False)
SPEC = ModelSpec(arch="compact", classes=("cat", "dög"), preprocess=PreprocessSpec(size_px=32))
PATHS = [f"c/{i}" for i in range(40)]


@pytest.fixture(scope="module")
def model():
    model = build_model("compact", n_classes=2, seed=3)
    with torch.no_grad():
        model.network.fc.weight.mul_(20)  # untrained logits are all nearly zero
    return model.eval()


@pytest.fixture(scope="module")
def content(model):
    return to_onnx(model, SPEC, opset=20, metadata={"checkpoint_sha256": "abc"})


@pytest.fixture(scope="module")
def classifier(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    write_bytes(path, content)
    write_sha256(path)
    return OnnxClassifier(path, device="cpu")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)


def test_the_exported_model_agrees_at_every_batch_size(model, classifier, pixels):
    parity = measure_parity(model, classifier, *with_extremes(pixels, PATHS), compute=CPU)
    assert parity.n == 43
    assert parity.max_prob_diff < 1e-5
    assert parity.flipped == ()
    require_parity(parity, max_prob_diff=1e-5)


def test_another_models_weights_are_noticed_and_named(classifier, pixels):
    other = build_model("compact", n_classes=2, seed=4).eval()
    with torch.no_grad():
        other.network.fc.weight.mul_(20)
    parity = measure_parity(other, classifier, pixels, PATHS, compute=CPU)
    assert parity.max_prob_diff > 0.01
    with pytest.raises(ExportError, match=r"a probability differs by .*, limit 0\.0001"):
        require_parity(parity, max_prob_diff=1e-4)


def test_the_extremes_are_black_white_and_noise(pixels):
    images, paths = with_extremes(pixels, PATHS)
    assert paths[-3:] == ["(black)", "(white)", "(noise)"]
    assert (images[-3].max(), images[-2].min()) == (0, 255)
    assert images[-1].std() > 60


def test_the_file_stands_alone_and_says_what_it_is(content, classifier):
    proto = onnx.load_from_string(content)
    metadata = {p.key: p.value for p in proto.metadata_props}
    assert set(metadata) == {"checkpoint_sha256", "spec"}
    assert classifier.spec == SPEC
    assert not any(t.external_data for t in proto.graph.initializer)
    assert not {n.op_type for n in proto.graph.node} & {"Gather", "Range", "If", "Loop"}


def test_the_file_holds_no_path_of_this_machine(content):
    assert str(__file__).encode() not in content
    assert b"site-packages" not in content
    assert b"/pipeline/" not in content


def test_exporting_twice_gives_the_same_bytes(model, content):
    assert to_onnx(model, SPEC, opset=20, metadata={"checkpoint_sha256": "abc"}) == content


def test_an_opset_that_the_exporter_does_not_know_gives_one_line(model):
    with pytest.raises(ExportError, match=r"exports it to opset .*, not 99") as caught:
        to_onnx(model, SPEC, opset=99, metadata={})
    assert "\n" not in str(caught.value)


def test_the_repository_has_the_layout_that_servers_read(content, tmp_path):
    write_repository(tmp_path / "repository", model=content, spec=SPEC)
    found = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert found == [
        "repository/classifier/1/model.onnx",
        "repository/classifier/1/model.onnx.sha256",
        "repository/classifier/config.pbtxt",
    ]
    config = (tmp_path / "repository/classifier/config.pbtxt").read_text()
    assert "dims: [ 32, 32, 3 ]" in config
    assert "dims: [ 2 ]" in config


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["resnet18", "vgg11_bn", "mobilenet_v3_small"])
def test_torchvisions_networks_agree_too(arch, tmp_path, pixels):
    spec = ModelSpec(arch=arch, classes=("a", "b", "c"), preprocess=PreprocessSpec(size_px=32))
    model = build_model(arch, n_classes=3).eval()
    path = tmp_path / "model.onnx"
    write_bytes(path, to_onnx(model, spec, opset=20, metadata={}))
    write_sha256(path)
    parity = measure_parity(model, OnnxClassifier(path, device="cpu"), pixels, PATHS, compute=CPU)
    assert parity.max_prob_diff < 1e-5
