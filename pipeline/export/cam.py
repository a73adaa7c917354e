"""Class activation maps as an output of the exported graph, where they are exact.

Zhou et al. 2016, Learning Deep Features for Discriminative Localization, section 2: where the
logits are one linear layer on the global average of the last feature map, that layer can be applied
at every place of the map instead. The mean of class k's map, plus the bias of k, is logit k.

The graph itself says whether that is so: whatever the network is called and however it was written,
a Gemm on the mean over space of a map has an exact activation map, and nothing else has.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from pipeline.inference.classifier import CAM, LOGITS

PREFIX = "cam_"
"""Of the names of what is added, so that others can tell."""
PASSES = {"Flatten", "Reshape", "Squeeze", "Identity", "Dropout"}
"""What may stand between the mean and the linear layer: (N, C, 1, 1) becomes (N, C)."""
SPACE = (2, 3)


@dataclass(frozen=True, slots=True)
class _Head:
    features: str
    """The map, (N, C, h, w)."""
    weight: str
    """The initializer (K, C)."""


def add_cam(proto: onnx.ModelProto) -> bool:
    """Add the output `cam`, (N, K, h, w), to a graph with the output `logits`, if that is exact.

    Returns:
        Whether it is; the graph is left alone otherwise.
    """
    head = _find_head(proto.graph)
    if head is None:
        return False
    graph = proto.graph
    axes = numpy_helper.from_array(np.array(SPACE, np.int64), f"{PREFIX}axes")
    graph.initializer.append(axes)
    graph.node.extend(
        [
            # The weights are those of the linear layer, seen as a 1 x 1 convolution.
            helper.make_node(
                "Unsqueeze", [head.weight, axes.name], [f"{PREFIX}weight"], name=f"{PREFIX}weight"
            ),
            helper.make_node(
                "Conv", [head.features, f"{PREFIX}weight"], [CAM], name=f"{PREFIX}conv"
            ),
        ]
    )
    graph.output.append(_output(proto, head))
    return True


def _find_head(graph: onnx.GraphProto) -> _Head | None:
    makers = {output: node for node in graph.node for output in node.output}
    node = _back(makers, LOGITS, {"Identity"})
    if node is None or node.op_type != "Gemm" or _attributes(node).get("transB", 0) != 1:
        return None
    factors = {_attributes(node).get(name, 1.0) for name in ("alpha", "beta")}
    weights = {tensor.name for tensor in graph.initializer}
    if factors != {1.0} or node.input[1] not in weights:
        return None
    pooled = _back(makers, node.input[0], PASSES)
    if pooled is None or not _is_mean_over_space(pooled, graph, makers):
        return None
    return _Head(pooled.input[0], node.input[1])


def _back(makers: dict[str, NodeProto], value: str, passed: set[str]) -> NodeProto | None:
    """Return the node that makes `value`, looking through nodes of the kinds `passed`."""
    node = makers.get(value)
    while node is not None and node.op_type in passed:
        node = makers.get(node.input[0])
    return node


def _is_mean_over_space(
    node: NodeProto, graph: onnx.GraphProto, makers: dict[str, NodeProto]
) -> bool:
    if node.op_type == "GlobalAveragePool":
        return True
    if node.op_type != "ReduceMean" or len(node.input) != 2:
        return False
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    maker = makers.get(node.input[1])
    if maker is not None and maker.op_type == "Constant":
        constants[node.input[1]] = numpy_helper.to_array(_attributes(maker)["value"])
    axes = constants.get(node.input[1])
    return axes is not None and sorted(axis % 4 for axis in axes.tolist()) == list(SPACE)


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def _output(proto: onnx.ModelProto, head: _Head) -> onnx.ValueInfoProto:
    """Describe the output, with the shape that onnx infers for it."""
    trial = onnx.ModelProto()
    trial.CopyFrom(proto)
    trial.graph.output.append(helper.make_tensor_value_info(CAM, TensorProto.FLOAT, None))
    inferred = onnx.shape_inference.infer_shapes(trial)
    found: onnx.ValueInfoProto = next(o for o in inferred.graph.output if o.name == CAM)
    found.type.tensor_type.shape.dim[0].CopyFrom(
        proto.graph.output[0].type.tensor_type.shape.dim[0]
    )
    return found
