"""A model small enough to be worked by hand, and images it is sure about."""

import io

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from pipeline.imaging.spec import ModelSpec, PreprocessSpec

SIZE_PX = 16


def png(colour: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> bytes:
    """Return an image of one colour, whose mean is therefore that colour at any size."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def colour_model(
    *, batch: str | int = "N", out: str = "probabilities", threshold: float | None = None
) -> onnx.ModelProto:
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
        threshold=threshold,
    )
    helper.set_model_props(model, {"spec": spec.to_json()})
    return model
