"""A model small enough to be worked by hand, and images it is sure about."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from pipeline.core.atomic import write_sha256
from pipeline.imaging.spec import ModelSpec, PreprocessSpec

SIZE_PX = 16


def png(colour: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> bytes:
    """Return an image of one colour, whose mean is therefore that colour at any size."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def colour_model(*, batch: str | int = "N", out: str = "probabilities") -> onnx.ModelProto:
    """Softmax of (blue, green, red) / 32: red 96 gives e^3 / (e^3 + 2) = 0.909443."""
    weights = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], np.float32) / 32
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [out], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [batch, SIZE_PX, SIZE_PX, 3])],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, [batch, 3])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    spec = ModelSpec(
        arch="colour",
        classes=("blue", "green", "red"),
        preprocess=PreprocessSpec(size_px=SIZE_PX),
    )
    helper.set_model_props(model, {"spec": spec.to_json()})
    return model


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
