"""The golden files of a real export, asked for through every way to the model."""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tiny import TinyRun

from pipeline.imaging.preprocess import pixels_from_bytes
from pipeline.inference.golden import Golden, read_golden, replay, require_verified, verify
from pipeline.modeling.checkpoint import load_checkpoint
from pipeline.modeling.device import choose_compute
from pipeline.modeling.predict import predict_logits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(tiny_run: TinyRun) -> Path:
    return tiny_run.root / "models"


@pytest.fixture(scope="module")
def golden(models: Path) -> Golden:
    return read_golden(models / "golden")


@pytest.fixture(scope="module")
def server(models: Path, start: Any) -> Any:
    command = ["-m", "pipeline.serving", "--model", str(models / "repository"), "--port", "0"]
    with start(command) as running:
        running.wait_for("golden images agree")
        yield running


def test_through_the_checkpoint(models: Path, golden: Golden) -> None:
    model, spec = load_checkpoint(models / "model.pt")
    temperature = json.loads((models.parent / "reports/evaluate/metrics.json").read_text())[
        "temperature"
    ]
    compute = choose_compute(device="cpu", threads=1, precision="fp32")

    def predict(contents: Sequence[bytes]) -> Any:
        pixels = np.stack([pixels_from_bytes(content, spec.preprocess) for content in contents])
        logits = predict_logits(model, pixels, compute=compute)
        return (logits / temperature).softmax(1).numpy()

    require_verified(replay(golden, predict), where="model.pt")


@pytest.mark.parametrize("place", [".", "repository/classifier/1", "int8"])
def test_through_the_files(models: Path, place: str) -> None:
    model = models / place / "model.onnx"
    if place == "int8" and not model.exists():
        assert "accepted" not in (models / "int8/gate.json").read_text()
        return
    require_verified(verify(model, models / "golden"), where=place)


def test_through_batch_prediction(models: Path, golden: Golden, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.inference", str(models / "model.onnx")]
    out = tmp_path / "out.csv"
    subprocess.run([*command, str(models / "golden"), "--out", str(out)], check=True)
    with out.open(newline="") as file:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(file)}

    def predict(contents: Sequence[bytes]) -> Any:
        found = [rows[image.file] for image in golden.images]
        return np.array([[float(row[f"prob_{c}"]) for c in golden.classes] for row in found])

    require_verified(replay(golden, predict), where="batch prediction")


def test_through_http(server: Any, golden: Golden) -> None:
    def predict(contents: Sequence[bytes]) -> Any:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            found = [client.post("/predict", content=c).json()["probabilities"] for c in contents]
        return np.array([[probs[name] for name in golden.classes] for probs in found])

    require_verified(replay(golden, predict), where="HTTP")


def test_through_the_open_inference_protocol(server: Any, models: Path, golden: Golden) -> None:
    _, spec = load_checkpoint(models / "model.pt")

    def predict(contents: Sequence[bytes]) -> Any:
        pixels = np.stack([pixels_from_bytes(content, spec.preprocess) for content in contents])
        tensor = triton.InferInput("pixels", list(pixels.shape), "UINT8")
        tensor.set_data_from_numpy(pixels)
        with triton.InferenceServerClient(f"{server.host}:{server.port}") as client:
            return client.infer("classifier", [tensor]).as_numpy("probabilities")

    require_verified(replay(golden, predict), where="OIP")
