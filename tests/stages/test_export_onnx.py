"""The stage as a whole, on the small run of the pipeline."""

import json
import shutil

import onnx
import pytest
from tiny import with_values

from pipeline.core.errors import ExportError
from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from pipeline.inference.classifier import OnnxClassifier
from pipeline.inference.golden import verify
from stages import export_onnx

pytestmark = pytest.mark.slow


def params_with(root, values):
    text = with_values((root / "params.yaml").read_text(), values)
    (root / "changed.yaml").write_text(text)
    return load_params(root / "changed.yaml")


@pytest.fixture
def project(tiny_run, tmp_path):
    """A copy of the small run."""
    for name in ("data", "models", "reports"):
        shutil.copytree(tiny_run.root / name, tmp_path / name)
    shutil.copy(tiny_run.root / "params.yaml", tmp_path)
    return tmp_path


def test_the_metrics_and_the_files_say_the_same(tiny_run):
    layout = Layout(tiny_run.root)
    metrics = json.loads(layout.export_metrics.read_text())
    facts = OnnxClassifier(layout.onnx_model, device="cpu").metadata
    assert facts["exporter"].startswith(metrics["exporter"])
    assert metrics["n_flipped"] == 0
    assert metrics["max_prob_diff"] <= 1e-4
    assert metrics["preprocess"]["max_diff"] <= 2
    tested = json.loads(layout.metrics.read_text())
    assert json.loads(facts["metrics"])["n"] == tested["n"]
    assert len(facts["data_sha256"]) == len(facts["checkpoint_sha256"]) == 64
    preprocess = onnx.load(layout.preprocess_model)
    skew = next(e.value for e in preprocess.metadata_props if e.key == "skew")
    assert json.loads(skew) == metrics["preprocess"]


def test_the_golden_files_replay_through_every_model(tiny_run):
    layout = Layout(tiny_run.root)
    models = [layout.onnx_model, layout.repository / "classifier/1/model.onnx"]
    gate = json.loads((layout.int8 / "gate.json").read_text())
    assert gate["status"] in ("accepted", "refused")
    if gate["status"] == "accepted":
        models += [layout.int8 / "model.onnx", layout.repository / "classifier_int8/1/model.onnx"]
    for model in models:
        assert verify(model, layout.golden, device="cpu").failed == ()


def test_beyond_a_limit_no_file_stays_under_a_final_name(project):
    params = params_with(project, {"export_onnx.max_prob_diff": "1.0e-30"})
    layout = Layout(project)
    assert layout.onnx_model.exists()
    with pytest.raises(ExportError, match=r"exporter dynamo: .*max_prob_diff.*exporter legacy"):
        export_onnx.run(params, layout)
    left = {p.name for p in (project / "models").iterdir()}
    assert left - {".gitignore", "MODEL_CARD.md"} == {"model.pt", "model.pt.sha256"}


def test_int8_can_be_off_and_the_exporter_chosen(project):
    params = params_with(project, {"export_onnx.int8": "off", "export_onnx.exporter": "legacy"})
    layout = Layout(project)
    export_onnx.run(params, layout)
    assert [p.name for p in layout.int8.iterdir()] == ["gate.json"]
    assert not (layout.repository / "classifier_int8").exists()
    metrics = json.loads(layout.export_metrics.read_text())
    assert (metrics["exporter"], metrics["int8"]["status"]) == ("legacy", "off")
    assert json.loads((layout.golden / "golden.json").read_text())["tolerance"] == {"fp32": 1e-4}
