"""From checkpoint to one self-contained ONNX file: uint8 pixels in, probabilities out."""

import copy
import io
import logging
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout

import onnx
import torch
from torch import Tensor, nn

from pipeline.core.errors import ExportError
from pipeline.export.cam import add_cam
from pipeline.imaging.spec import ModelSpec
from pipeline.inference.classifier import INPUT, LOGITS, OUTPUT

BATCH = "batch"
MAX_BATCH = 4096
EXPORTERS = ("dynamo", "legacy")
"""torch's exporter by `torch.export`, and its older one by TorchScript."""
# What makes the graph slow or fragile: an emulation of strides (Gather, Range) means that a
# contiguous() is missing, control flow that the export followed a branch on data.
UNWANTED_OPS = {"Range", "Gather", "If", "Loop", "SequenceAt"}


class WithSoftmax(nn.Module):
    """Probabilities (N, K), and the logits that they came from, of uint8 pixels (N, H, W, 3)."""

    def __init__(self, model: nn.Module, *, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (N, K) and logits (N, K), the latter before the temperature."""
        logits = self.model(pixels)
        scaled = logits if self.temperature == 1 else logits / self.temperature
        return torch.softmax(scaled, dim=1), logits


def to_onnx(
    model: nn.Module,
    spec: ModelSpec,
    *,
    opset: int,
    exporter: str = "dynamo",
    cam: bool = True,
    metadata: Mapping[str, str],
) -> bytes:
    """Return the bytes of the ONNX file; its batch dimension is free.

    Args:
        model: a `Classifier` on the CPU.
        spec: written into the metadata under `spec`; its temperature goes into the graph.
        opset: of the ONNX standard operators.
        exporter: one of `EXPORTERS`.
        cam: add the class activation maps as an output, where the architecture has them exactly.
        metadata: further texts for the metadata.

    Raises:
        ExportError: torch's exporter cannot translate the network, or the file would not be
            self-contained.
    """
    size = spec.preprocess.size_px
    # Two images: with one the exporter would take the batch dimension for a constant.
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    # In channels_last, a pooled map is flattened by an emulation of its strides.
    plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    module = WithSoftmax(plain, temperature=spec.temperature).eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        # Both exporters print: of progress, and the legacy one of the whole graph where it fails.
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # torch's remarks on its own deprecations
            export = _by_dynamo if exporter == "dynamo" else _by_legacy
            proto = export(module, example, opset)
    except Exception as error:  # the exporters have no error family of their own
        detail = " ".join(str(error).split())[:300]
        raise ExportError(
            f"{spec.arch}: torch's {exporter} exporter cannot translate it to opset {opset}: "
            f"{detail}"
        ) from error
    _strip_traces(proto)
    has_cam = cam and add_cam(proto)
    facts = {
        **metadata,
        "cam": str(has_cam).lower(),
        "exporter": f"{exporter}, torch {torch.__version__.partition('+')[0]}",
        "opset": str(opset),
        "precision": "fp32",
        "spec": spec.to_json(),
    }
    set_metadata(proto, facts)
    _check(proto, spec.arch, opset)
    return bytes(proto.SerializeToString(deterministic=True))


def set_metadata(proto: onnx.ModelProto, facts: Mapping[str, str]) -> None:
    """Replace the metadata by `facts`, sorted."""
    del proto.metadata_props[:]
    for key, value in sorted(facts.items()):
        proto.metadata_props.add(key=key, value=value)


def read_metadata(proto: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata."""
    return {entry.key: entry.value for entry in proto.metadata_props}


def _by_dynamo(module: nn.Module, example: Tensor, opset: int) -> onnx.ModelProto:
    program = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        verbose=False,
        opset_version=opset,
        input_names=[INPUT],
        output_names=[OUTPUT, LOGITS],
        dynamic_shapes=({0: torch.export.Dim(BATCH, min=1, max=MAX_BATCH)},),
    )
    assert program is not None
    return program.model_proto


def _by_legacy(module: nn.Module, example: Tensor, opset: int) -> onnx.ModelProto:
    buffer = io.BytesIO()
    torch.onnx.export(
        module,
        (example,),
        buffer,  # type: ignore[arg-type]  # a file object is fine for this exporter
        dynamo=False,
        opset_version=opset,
        input_names=[INPUT],
        output_names=[OUTPUT, LOGITS],
        dynamic_axes={name: {0: BATCH} for name in (INPUT, OUTPUT, LOGITS)},
    )
    return onnx.load_from_string(buffer.getvalue())


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
