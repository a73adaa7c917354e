"""The exported file: what is in it, by which exporter, and that it stands alone."""

import json
import subprocess

import numpy as np
import onnx
import pytest
import torch

from pipeline.core.errors import ArtifactError, ExportError
from pipeline.export.facts import calibrated, facts, revision
from pipeline.export.onnx_file import EXPORTERS, to_onnx
from pipeline.imaging.spec import ModelSpec, PreprocessSpec, spec_from_json
from pipeline.inference.classifier import OnnxClassifier
from pipeline.modeling.zoo import build_model

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_both_exporters_give_torchs_answers(exporter, model, spec, pixels, save):
    path = save(to_onnx(model, spec, opset=20, exporter=exporter, metadata={}))
    classifier = OnnxClassifier(path, device="cpu")
    logits = model(torch.from_numpy(pixels)).detach()
    probs, found = classifier.run(pixels, ["probabilities", "logits"])
    assert found == pytest.approx(logits.numpy(), abs=1e-4)
    # The temperature of 2 is in the graph: softmax of half the logits.
    assert probs == pytest.approx(torch.softmax(logits / 2, 1).numpy(), abs=1e-5)
    assert classifier.metadata["exporter"].startswith(f"{exporter}, torch ")


def test_the_file_stands_alone_and_says_what_it_is(content, spec, save):
    proto = onnx.load_from_string(content)
    metadata = {p.key: p.value for p in proto.metadata_props}
    assert set(metadata) == {
        *("cam", "checkpoint_sha256", "exporter", "opset", "precision", "spec"),
    }
    assert (metadata["cam"], metadata["opset"], metadata["precision"]) == ("true", "20", "fp32")
    assert OnnxClassifier(save(content), device="cpu").spec == spec
    assert not any(t.external_data for t in proto.graph.initializer)


@pytest.mark.parametrize("arch", ["compact", "resnet18"])
def test_the_graph_holds_no_emulated_strides(arch):
    # resnet18 in channels_last used to end in a Gather over computed indices.
    spec = ModelSpec(arch=arch, classes=("a", "b"), preprocess=PreprocessSpec(size_px=32))
    model = build_model(arch, n_classes=2).eval()
    proto = onnx.load_from_string(to_onnx(model, spec, opset=20, metadata={}))
    assert not {n.op_type for n in proto.graph.node} & {"Gather", "Range", "If", "Loop"}


def test_the_file_holds_no_path_of_this_machine(content):
    assert str(__file__).encode() not in content
    assert b"site-packages" not in content
    assert b"/pipeline/" not in content


def test_exporting_twice_gives_the_same_bytes(model, spec, content):
    again = to_onnx(model, spec, opset=20, metadata={"checkpoint_sha256": "abc"})
    assert again == content


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_an_opset_that_the_exporter_does_not_know_gives_one_line(exporter, model, spec, capsys):
    with pytest.raises(ExportError, match="opset") as caught:
        to_onnx(model, spec, opset=99, exporter=exporter, metadata={})
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_the_facts_are_those_that_were_given(spec, tmp_path):
    metrics = {"accuracy": 0.9, "n": 50, "log_loss": 0.3, "per_class": {"cat": {}}}
    found = facts(spec, metrics=metrics, hashes={"data_sha256": "d"}, root=tmp_path)
    assert json.loads(found["metrics"]) == {
        "split": "test",
        "accuracy": 0.9,
        "n": 50,
        "log_loss": 0.3,
    }
    assert json.loads(found["classes"]) == ["cat", "dög"]
    assert (found["temperature"], found["threshold"]) == ("2.0", "null")
    assert (found["data_sha256"], found["revision"]) == ("d", "unknown")  # no Git here


def test_a_specs_temperature_and_threshold_may_come_from_the_metrics(spec, tmp_path):
    assert calibrated(spec, {}, where=tmp_path) == spec
    found = calibrated(spec, {"temperature": 1.5, "threshold": 0.7}, where=tmp_path)
    assert (found.temperature, found.threshold) == (1.5, 0.7)
    for wrong in ({"temperature": 0}, {"threshold": 2}, {"temperature": "hot"}):
        with pytest.raises(ArtifactError, match="dvc repro evaluate"):
            calibrated(spec, wrong, where=tmp_path)


def test_a_spec_made_before_there_was_a_temperature_is_read(spec):
    old = json.loads(spec.to_json())
    del old["temperature"], old["threshold"]
    found = spec_from_json(json.dumps(old), where="x")
    assert (found.temperature, found.threshold) == (1.0, None)
    with pytest.raises(ArtifactError, match="temperature is -1"):
        spec_from_json(json.dumps({**old, "temperature": -1}), where="x")
    assert spec_from_json(spec.to_json(), where="x") == spec


def test_the_revision_is_the_last_commit_that_touched_the_code(tmp_path):
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=T", "-c", "user.email=t@example.invalid")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "pipeline").mkdir()
    code = tmp_path / "pipeline/a.py"
    code.write_text("1")
    git("add", "-A")
    git("commit", "-qm", "code")
    first = git("rev-parse", "HEAD")
    (tmp_path / "dvc.lock").write_text("x")
    git("add", "-A")
    git("commit", "-qm", "a run's results")
    assert revision(tmp_path) == first
    code.write_text("2")
    assert revision(tmp_path) == f"{first}-dirty"


@pytest.mark.parametrize(
    ("arch", "exporter"), [("resnet18", "dynamo"), ("mobilenet_v3_small", "legacy")]
)
def test_torchvisions_networks_agree_too(arch, exporter, pixels, save):
    spec = ModelSpec(arch=arch, classes=("a", "b", "c"), preprocess=PreprocessSpec(size_px=32))
    model = build_model(arch, n_classes=3).eval()
    content = to_onnx(model, spec, opset=20, exporter=exporter, metadata={})
    classifier = OnnxClassifier(save(content), device="cpu")
    expected = torch.softmax(model(torch.from_numpy(pixels)), 1).detach().numpy()
    assert np.abs(classifier.predict(pixels) - expected).max() < 1e-5
