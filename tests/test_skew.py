"""One image, one answer: checkpoint, ONNX file, batch prediction and HTTP agree."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch

from pipeline.core.archive import RawArchive
from pipeline.inference.classifier import OnnxClassifier
from pipeline.modeling.checkpoint import load_checkpoint
from pipeline.modeling.device import Compute
from pipeline.modeling.predict import predict_logits
from pipeline.packing.packed import read_packed

pytestmark = pytest.mark.slow
CPU = Compute(device=torch.device("cpu"), bf16=False)


def fitted(tiny_run):
    """Return the metrics, which say which temperature and threshold were fitted."""
    return json.loads((tiny_run.root / "reports/evaluate/metrics.json").read_text())


@pytest.fixture(scope="module")
def images(tiny_run):
    """The test images' original bytes, and the calibrated probabilities of their packed pixels."""
    packed = read_packed(tiny_run.root / "data/packed")
    model, _ = load_checkpoint(tiny_run.root / "models/model.pt")
    logits = predict_logits(model, packed.test.pixels, compute=CPU)
    probs = (logits / fitted(tiny_run)["temperature"]).softmax(1).numpy()
    with RawArchive(tiny_run.root / "data/raw.zip") as archive:
        contents = [archive.read(path) for path in packed.test.paths]
    assert len(contents) >= 5
    return packed, contents, probs


def test_evaluate_wrote_what_the_checkpoint_says(tiny_run, images):
    packed, _, probs = images
    with (tiny_run.root / "reports/evaluate/predictions.csv").open() as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    for path, row_probs in zip(packed.test.paths, probs, strict=True):
        found = [float(rows[path][f"prob_{name}"]) for name in packed.classes]
        assert found == pytest.approx(row_probs, abs=2e-6)


def test_the_model_file_was_given_the_temperature_and_the_threshold(tiny_run, images):
    found = fitted(tiny_run)
    spec = OnnxClassifier(tiny_run.root / "models/model.onnx", device="cpu").spec
    assert abs(found["temperature"] - 1) > 0.01  # or these tests could not tell
    assert (spec.temperature, spec.threshold) == (found["temperature"], found["threshold"])
    unsure = images[2].max(1) < found["threshold"]
    assert unsure.any()
    assert not unsure.all()


def test_onnx_and_batch_prediction_agree_from_the_original_bytes(tiny_run, images, tmp_path):
    packed, contents, probs = images
    classifier = OnnxClassifier(tiny_run.root / "models/model.onnx", device="cpu")
    assert np.abs(classifier.predict(packed.test.pixels) - probs).max() < 1e-5
    names = [f"{index:04d}.jpg" for index in range(len(contents))]
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).write_bytes(content)
    subprocess.run(
        [
            *(sys.executable, "-m", "pipeline.inference"),
            *(str(tiny_run.root / "models/model.onnx"), str(tmp_path)),
            *("--out", str(tmp_path / "out.csv")),
        ],
        check=True,
    )
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = [[float(row[f"prob_{name}"]) for name in packed.classes] for row in rows]
    assert np.abs(np.array(found) - probs).max() < 1e-5
    unsure = [row["unsure"] == "true" for row in rows]
    assert unsure == (probs.max(1) < fitted(tiny_run)["threshold"]).tolist()


def test_http_agrees_from_the_original_bytes(tiny_run, images):
    packed, contents, probs = images
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "pipeline.serving", "--port", str(port)),
            *("--model", str(tiny_run.root / "models/model.onnx")),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{address}/v2/health/ready", timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        for content, expected in zip(contents, probs, strict=True):
            with urllib.request.urlopen(f"{address}/predict", content, timeout=10) as response:
                answer = json.load(response)
            found = [answer["probabilities"][name] for name in packed.classes]
            assert found == pytest.approx(expected, abs=1e-5)
            assert answer["unsure"] == bool(expected.max() < fitted(tiny_run)["threshold"])
            assert answer["label"] == packed.classes[int(expected.argmax())]
    finally:
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(15) == 0
