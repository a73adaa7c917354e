"""A small network whose answers vary, exported once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from pipeline.core.atomic import write_bytes, write_sha256
from pipeline.export.onnx_file import to_onnx
from pipeline.export.parity import Reference, refer
from pipeline.imaging.spec import ModelSpec, PreprocessSpec
from pipeline.modeling.device import Compute
from pipeline.modeling.zoo import Classifier, build_model
from pipeline.packing.packed import PackedSplit

CPU = Compute(device=torch.device("cpu"), bf16=False)


def lively(seed: int) -> Classifier:
    """Return a network whose answers vary; untrained logits are all nearly zero."""
    model = build_model("compact", n_classes=2, seed=seed)
    with torch.no_grad():
        model.network.fc.weight.mul_(20)
    return model.eval()


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    return ModelSpec(
        arch="compact",
        classes=("cat", "dög"),
        preprocess=PreprocessSpec(size_px=32),
        temperature=2.0,
    )


@pytest.fixture(scope="session")
def model() -> Classifier:
    return lively(3)


@pytest.fixture(scope="session")
def other_model() -> Classifier:
    return lively(4)


@pytest.fixture(scope="session")
def content(model: Classifier, spec: ModelSpec) -> bytes:
    """The exported file."""
    return to_onnx(model, spec, opset=20, metadata={"checkpoint_sha256": "abc"})


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.uint8]:
    """Noise of different brightness and colour, so that answers differ."""
    rng = np.random.default_rng(0)
    levels = rng.integers(20, 256, (40, 1, 1, 3))
    return (rng.random((40, 32, 32, 3)) * levels).astype(np.uint8)


@pytest.fixture(scope="session")
def split(pixels: NDArray[np.uint8]) -> PackedSplit:
    labels = np.arange(40, dtype=np.int64) % 2
    return PackedSplit(pixels, labels, tuple(f"c/{index}" for index in range(40)))


@pytest.fixture(scope="session")
def reference(model: Classifier, spec: ModelSpec, split: PackedSplit) -> Reference:
    return refer(model, spec, split, n_images=1000, compute=CPU)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[bytes | onnx.ModelProto], Path]:
    """Return a function that saves a model with its checksum."""

    def save_model(model: bytes | onnx.ModelProto) -> Path:
        path = tmp_path / "model.onnx"
        write_bytes(path, model if isinstance(model, bytes) else model.SerializeToString())
        write_sha256(path)
        return path

    return save_model
