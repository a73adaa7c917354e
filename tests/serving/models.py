"""Small models with what a real export may add: a heat-map, a threshold, metadata."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from colour import colour_model
from onnx import TensorProto, helper, numpy_helper

CELLS = 4


def full_model(*, threshold: float | None = 0.7, cam: bool = True, **metadata: str) -> Any:
    """Return the model of `colour` with a second output: the same sum, not yet averaged.

    `cam` (N, 3, 4, 4) holds (blue, green, red) / 32 of each of 4 x 4 cells; its mean over the cells
    is the logits.
    """
    model = colour_model()
    graph = model.graph
    if cam:
        graph.node.extend(
            [
                helper.make_node("Transpose", ["float"], ["channels"], perm=[0, 3, 1, 2]),
                helper.make_node(
                    "AveragePool", ["channels"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]
                ),
                helper.make_node("Conv", ["cells", "reversed"], ["cam"]),
            ]
        )
        reverse = np.fliplr(np.eye(3, dtype=np.float32)).reshape(3, 3, 1, 1) / 32
        graph.initializer.append(numpy_helper.from_array(reverse, "reversed"))
        graph.output.append(
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["N", 3, CELLS, CELLS])
        )
    props = {p.key: p.value for p in model.metadata_props} | metadata
    if threshold is not None:
        props["threshold"] = str(threshold)
    helper.set_model_props(model, props)
    onnx.checker.check_model(model, full_check=True)
    return model


def put(path: Path, model: Any) -> Path:
    """Write a model and its checksum, the checksum first as a careless copy would."""
    content = model.SerializeToString()
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n")
    path.write_bytes(content)
    return path
