"""The model file alone."""

import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.core.atomic import sha256_file, sha256_path, write_sha256
from pipeline.core.errors import ArtifactError, ImageError, InstallationError
from pipeline.inference.classifier import OnnxClassifier
from pipeline.inference.providers import CPU, CUDA

Build = Callable[..., onnx.ModelProto]
Save = Callable[[onnx.ModelProto], Path]

SURE = math.exp(3) / (math.exp(3) + 2)
REST = 1 / (math.exp(3) + 2)


def test_probabilities_are_those_worked_by_hand(
    model_path: Path, draw: Callable[..., bytes]
) -> None:
    classifier = OnnxClassifier(model_path, device="cpu")
    probs = classifier.predict_bytes([draw((96, 0, 0)), draw((0, 96, 0)), draw((0, 0, 0))])
    expected = [[REST, REST, SURE], [REST, SURE, REST], [1 / 3, 1 / 3, 1 / 3]]
    assert probs.dtype == np.float32
    assert probs == pytest.approx(np.array(expected), abs=1e-6)
    assert classifier.spec.classes == ("blue", "green", "red")
    assert classifier.provider == CPU


def test_an_image_has_the_same_answer_alone_and_in_a_batch(
    model_path: Path, draw: Callable[..., bytes]
) -> None:
    classifier = OnnxClassifier(model_path)
    contents = [draw((i, 2 * i, 3 * i)) for i in range(1, 34)]
    alone = np.concatenate([classifier.predict_bytes([content]) for content in contents])
    assert classifier.predict_bytes(contents) == pytest.approx(alone, abs=1e-6)


def test_bytes_that_are_no_image_raise_image_error(model_path: Path) -> None:
    with pytest.raises(ImageError, match="not_an_image"):
        OnnxClassifier(model_path).predict_bytes([b"hello"])


def test_a_missing_model_names_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.onnx: not found; run: dvc repro export_onnx"):
        OnnxClassifier(tmp_path / "none.onnx")


def test_a_model_without_its_checksum_is_refused(model_path: Path) -> None:
    sha256_path(model_path).unlink()
    with pytest.raises(ArtifactError, match=r"sha256: not found; copy it together with the model"):
        OnnxClassifier(model_path)


def test_a_single_flipped_bit_is_refused_in_200_places(model_path: Path) -> None:
    content = model_path.read_bytes()
    draw = random.Random(0)
    places = [0, 8 * len(content) - 1, *draw.sample(range(1, 8 * len(content) - 1), 198)]
    for place in places:
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        model_path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="sha256"):
            OnnxClassifier(model_path)
    model_path.write_bytes(content)
    OnnxClassifier(model_path)


def test_the_checksum_is_that_of_what_was_loaded_whatever_lies_there_later(
    model_path: Path, build: Build, save: Save
) -> None:
    before = sha256_file(model_path)
    classifier = OnnxClassifier(model_path)
    save(build(threshold=0.5))
    assert classifier.sha256 == before != sha256_file(model_path)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x09"])
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    write_sha256(path)
    with pytest.raises(ArtifactError) as caught:
        OnnxClassifier(path)
    assert "not a self-contained ONNX model" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_in_another_file_are_refused(
    tmp_path: Path, build: Build, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build()
    weights = model.graph.initializer[1]
    beside = ("weights.bin", "models/weights.bin", str(tmp_path / "models" / "weights.bin"))
    (tmp_path / "models").mkdir()
    for place in (tmp_path, tmp_path / "models"):
        (place / "weights.bin").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    monkeypatch.chdir(tmp_path)
    for location in beside:
        del weights.external_data[:]
        weights.external_data.add(key="location", value=location)
        with pytest.raises(ArtifactError, match="not a self-contained ONNX model"):
            OnnxClassifier(save(model), device="cpu")


def test_a_model_of_another_project_is_refused(build: Build, save: Save) -> None:
    model = build()
    del model.metadata_props[:]
    with pytest.raises(ArtifactError, match="not a model of this pipeline"):
        OnnxClassifier(save(model))


@pytest.mark.parametrize(
    ("field", "value"),
    [("size_px", 32), ("size_px", "16"), ("fit", "stretch"), ("resample", "nearest")],
)
def test_preprocessing_that_does_not_fit_is_refused_at_once(
    build: Build, save: Save, field: str, value: object
) -> None:
    model = build()
    spec = json.loads(model.metadata_props[0].value)
    spec["preprocess"][field] = value
    helper.set_model_props(model, {"spec": json.dumps(spec)})
    with pytest.raises(ArtifactError):
        OnnxClassifier(save(model))


@pytest.mark.parametrize("classes", [[], ["cat"], ["cat", "cat", "dog"]])
def test_classes_that_do_not_fit_the_outputs_are_refused(
    build: Build, save: Save, classes: list[str]
) -> None:
    model = build()
    spec = json.loads(model.metadata_props[0].value) | {"classes": classes}
    helper.set_model_props(model, {"spec": json.dumps(spec)})
    with pytest.raises(ArtifactError):
        OnnxClassifier(save(model))


@pytest.mark.parametrize("wrong", [{"batch": 1}, {"out": "scores"}])
def test_tensors_of_another_name_or_a_fixed_batch_are_refused(
    build: Build, save: Save, wrong: dict[str, object]
) -> None:
    with pytest.raises(ArtifactError, match="expected"):
        OnnxClassifier(save(build(**wrong)))


def test_a_model_that_gives_nan_or_no_probabilities_is_never_ready(
    build: Build, save: Save
) -> None:
    nan, logits = build(), build()
    nan.graph.initializer[1].raw_data = np.full((3, 3), np.nan, np.float32).tobytes()
    logits.graph.node[3].CopyFrom(helper.make_node("Identity", ["logits"], ["probabilities"]))
    with pytest.raises(ArtifactError, match="not finite"):
        OnnxClassifier(save(nan))
    with pytest.raises(ArtifactError, match="no probabilities"):
        OnnxClassifier(save(logits))


def test_cuda_is_used_or_refused_but_never_silently_replaced(model_path: Path) -> None:
    outcome = ""
    try:
        outcome = OnnxClassifier(model_path, device="cuda").provider
    except InstallationError as error:
        outcome = str(error)
    assert re.match(f"{CUDA}|device cuda: .*use cpu", outcome)


def test_an_unknown_device_is_refused(model_path: Path) -> None:
    with pytest.raises(InstallationError, match="expected one of auto, cpu, cuda"):
        OnnxClassifier(model_path, device="tpu")


def test_loading_prints_nothing(model_path: Path) -> None:
    code = """
import pathlib, sys
from pipeline.inference.classifier import OnnxClassifier
OnnxClassifier(pathlib.Path(sys.argv[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(model_path)], capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")


def test_inference_leaves_the_training_packages_alone() -> None:
    code = """
import sys
import pipeline.inference.__main__, pipeline.inference.classifier, pipeline.inference.batch
unwanted = {"torch", "pandas", "yaml", "dvc", "sklearn", "matplotlib", "onnx", "starlette"}
print(*sorted(unwanted & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
