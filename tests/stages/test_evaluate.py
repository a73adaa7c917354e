"""The stage as a whole, on the small run of the pipeline."""

import json
import shutil

import numpy as np
import pytest
from sklearn import metrics as sk
from tiny import with_values

from pipeline.core.artifacts import (
    ReliabilityBin,
    RiskPoint,
    SliceRow,
    read_predictions,
    read_records,
)
from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from pipeline.inference.classifier import OnnxClassifier
from pipeline.packing.packed import read_packed
from stages import evaluate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tiny_run, tmp_path_factory):
    """A copy of what the stage reads."""
    folder = tmp_path_factory.mktemp("evaluate")
    shutil.copytree(tiny_run.root / "data", folder / "data")
    (folder / "models").mkdir()
    for name in ("model.pt", "model.pt.sha256"):
        shutil.copy(tiny_run.root / "models" / name, folder / "models")
    shutil.copy(tiny_run.root / "params.yaml", folder)
    return folder


@pytest.fixture(scope="module")
def usual(project):
    """The metrics with mirrored images and batches of 256."""
    return run_with(project, tta="flip", batch_size="256")


def run_with(project, **values):
    """Run the stage with parameters changed; return the metrics."""
    text = (project / "params.yaml").read_text()
    changed = {"runtime.threads": "1"}
    changed |= {f"evaluate.{name}": value for name, value in values.items()}
    (project / "changed.yaml").write_text(with_values(text, changed))
    evaluate.run(load_params(project / "changed.yaml"), Layout(project))
    return json.loads(Layout(project).metrics.read_text())


def numbers_of(content, prefix=""):
    """Return every number of nested dicts by its dotted name."""
    if isinstance(content, dict):
        return {
            name: number
            for key, value in content.items()
            for name, number in numbers_of(value, f"{prefix}{key}.").items()
        }
    return {prefix: content} if isinstance(content, int | float) else {}


def tables(layout):
    return {
        "train": layout.train_predictions,
        "valid": layout.valid_predictions,
        "test": layout.predictions,
    }


def test_every_table_holds_what_the_exported_model_answers(tiny_run):
    layout = Layout(tiny_run.root)
    packed = read_packed(layout.packed)
    served = OnnxClassifier(layout.onnx_model, device="cpu")
    for name, path in tables(layout).items():
        split = getattr(packed, name)
        rows = {row.path: row for row in read_predictions(path).rows}
        assert rows.keys() == set(split.paths)
        probs = served.predict(np.array(split.pixels))
        for image, label, expected in zip(split.paths, split.labels, probs, strict=True):
            assert rows[image].probs == pytest.approx(expected, abs=2e-6)
            assert rows[image].label == packed.classes[label]
            assert rows[image].predicted == packed.classes[int(expected.argmax())]


@pytest.mark.parametrize("name", ["valid", "test"])
def test_the_metrics_are_scikit_learns_of_the_table(tiny_run, name):
    layout = Layout(tiny_run.root)
    found = json.loads(layout.metrics.read_text())
    found = found if name == "test" else found[name]
    table = read_predictions(tables(layout)[name])
    labels = [row.label for row in table.rows]
    probs = np.array([row.probs for row in table.rows])
    predicted = [row.predicted for row in table.rows]
    assert found["n"] == len(table.rows)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted), abs=1e-6)
    assert found["log_loss"] == pytest.approx(np.mean([row.loss for row in table.rows]), abs=2e-6)
    truth = np.array(labels) == table.classes[1]
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(truth, probs[:, 1]), abs=1e-5)
    brier = sk.brier_score_loss(truth, probs[:, 1])
    assert found["brier"] == pytest.approx(2 * brier, abs=1e-5)


def test_the_other_tables_agree_with_the_metrics(tiny_run):
    layout = Layout(tiny_run.root)
    found = json.loads(layout.metrics.read_text())
    bins = read_records(layout.reliability, ReliabilityBin, stage="evaluate")
    for version in ("before", "after"):
        rows = [row for row in bins if row.version == version]
        assert sum(row.n for row in rows) == found["n"]
        gap = sum(row.n * abs(row.accuracy - row.confidence) for row in rows) / found["n"]
        assert gap == pytest.approx(found["calibration"][version]["ece"], abs=1e-5)
    curve = read_records(layout.risk_coverage, RiskPoint, stage="evaluate")
    assert (curve[-1].coverage, curve[-1].n) == (1, found["n"])
    assert curve[-1].risk == pytest.approx(1 - found["accuracy"], abs=1e-5)
    slices = read_records(layout.slices, SliceRow, stage="evaluate")
    for name in ("class", "size_px", "aspect", "brightness", "sharpness"):
        rows = [row for row in slices if row.slice == name]
        assert sum(row.n for row in rows) == found["n"]
        right = sum(row.n * row.accuracy for row in rows)
        assert right == pytest.approx(found["n"] * found["accuracy"], abs=1e-3)
    assert {row.value for row in slices if row.slice == "class"} == set(found["per_class"])


def test_neither_the_batch_size_nor_further_views_change_the_figures(project, usual):
    expected = numbers_of({k: v for k, v in usual.items() if k != "flip_tta"})
    other = run_with(project, tta="multi_crop", batch_size="7")
    found = numbers_of({k: v for k, v in other.items() if k != "multi_crop_tta"})
    assert len(expected) > 40
    assert found.keys() == expected.keys()
    for name, number in expected.items():
        assert found[name] == pytest.approx(number, abs=1.000001e-6), name
    assert usual["flip_tta"].keys() == other["multi_crop_tta"].keys() == other["valid"].keys()


def test_columns_and_corrections_of_people_are_slices(project, usual):
    layout = Layout(project)
    paths = [row.path for row in read_predictions(layout.predictions).rows]
    layout.corrections.write_text(f"path,action,label\n{paths[0]},keep,\n")
    rows = "".join(f"{path},,,{('day', 'night')[k % 2]}\n" for k, path in enumerate(paths))
    layout.metadata.write_text(f"path,split,group,light\n{rows}")
    found = run_with(project, tta="none")
    assert found == {k: v for k, v in usual.items() if k != "flip_tta"}
    slices = read_records(layout.slices, SliceRow, stage="evaluate")
    light = {row.value: row.n for row in slices if row.slice == "metadata.light"}
    assert light == {"day": (len(paths) + 1) // 2, "night": len(paths) // 2}
    kept = {row.value: row.n for row in slices if row.slice == "correction"}
    assert kept == {"keep": 1, "none": len(paths) - 1}
