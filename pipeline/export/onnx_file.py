"""From checkpoint to one self-contained ONNX file: uint8 pixels in, probabilities out."""

import logging
import warnings

import onnx
import torch
from torch import Tensor, nn

from pipeline.core.errors import ExportError
from pipeline.imaging.spec import ModelSpec

INPUT, OUTPUT = "pixels", "probabilities"
# What makes the graph slow or fragile: an emulation of strides (Gather, Range) means that a
# contiguous() is missing, control flow that the export followed a branch on data.
UNWANTED_OPS = {"Range", "Gather", "If", "Loop", "SequenceAt"}


class WithSoftmax(nn.Module):
    """Probabilities (N, K) from uint8 pixels (N, H, W, 3)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Return probabilities (N, K)."""
        return torch.softmax(self.model(pixels), dim=1)


def to_onnx(model: nn.Module, spec: ModelSpec, *, opset: int, metadata: dict[str, str]) -> bytes:
    """Return the bytes of the ONNX file; its batch dimension is free.

    Args:
        model: a `Classifier` on the CPU.
        spec: written into the metadata under `spec`.
        opset: of the ONNX standard operators.
        metadata: further texts for the metadata.

    Raises:
        ExportError: torch's exporter cannot translate the network, or the file would not be
            self-contained.
    """
    size = spec.preprocess.size_px
    # Two images: with one the exporter would take the batch dimension for a constant.
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on its own deprecations
            program = torch.onnx.export(
                WithSoftmax(model).eval(),
                (example,),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
            )
    except Exception as error:  # the exporter has no error family of its own
        detail = " ".join(str(error).split())[:300]
        raise ExportError(
            f"{spec.arch}: torch cannot export it to opset {opset}: {detail}"
        ) from error
    assert program is not None
    proto = program.model_proto
    _strip_traces(proto)
    del proto.metadata_props[:]
    for key, value in sorted({**metadata, "spec": spec.to_json()}.items()):
        proto.metadata_props.add(key=key, value=value)
    _check(proto, spec.arch, opset)
    return bytes(proto.SerializeToString(deterministic=True))


def _strip_traces(proto: onnx.ModelProto) -> None:
    """Remove the exporter's notes: they hold stack traces with this machine's paths."""
    del proto.graph.metadata_props[:]
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        del value.metadata_props[:]
    for tensor in proto.graph.initializer:
        del tensor.metadata_props[:]


def _check(proto: onnx.ModelProto, arch: str, opset: int) -> None:
    found = {entry.domain: entry.version for entry in proto.opset_import}.get("")
    if found != opset:  # the exporter only logs that it could not convert
        raise ExportError(f"{arch}: torch exports it to opset {found}, not {opset}; set another")
    onnx.checker.check_model(proto, full_check=True)
    if any(tensor.external_data for tensor in proto.graph.initializer):
        raise ExportError(f"{arch}: the exported file refers to external data")
    unwanted = sorted({node.op_type for node in proto.graph.node} & UNWANTED_OPS)
    if unwanted:
        logging.getLogger(__name__).warning(
            "the graph holds %s: slow to serve", ", ".join(unwanted)
        )
