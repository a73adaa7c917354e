"""A model small enough to be worked by hand, and images it is sure about."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from colour import colour_model, png

from pipeline.core.atomic import write_sha256


@pytest.fixture
def draw() -> Callable[..., bytes]:
    """Return the function that draws an image of one colour."""
    return png


@pytest.fixture
def build() -> Callable[..., onnx.ModelProto]:
    """Return the function that builds the model, or a broken one."""
    return colour_model


@pytest.fixture
def save(tmp_path: Path) -> Callable[[onnx.ModelProto], Path]:
    """Return a function that saves a model with its checksum."""

    def save_model(model: onnx.ModelProto) -> Path:
        path = tmp_path / "models" / "model.onnx"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(model.SerializeToString())
        write_sha256(path)
        return path

    return save_model


@pytest.fixture
def model_path(save: Callable[[onnx.ModelProto], Path]) -> Path:
    """Return where the model lies."""
    return save(colour_model())
