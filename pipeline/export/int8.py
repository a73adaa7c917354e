"""The INT8 variant: activations in unsigned, weights in signed 8 bits, one scale per channel.

QDQ format: the graph says where values are quantised, and ONNX Runtime fuses what it can. Unsigned
activations with signed weights are what the VNNI instructions multiply: signed ones with signed
weights were less than half as fast. CPUs without VNNI add pairs of such products in 16 bits, where
255 * 127 * 2 saturates: so weights use 7 of their 8 bits (see docs/export.md).
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from pipeline.core.errors import ExportError
from pipeline.export.cam import PREFIX as CAM_PREFIX
from pipeline.export.onnx_file import read_metadata, set_metadata
from pipeline.export.parity import Parity
from pipeline.imaging.preprocess import Pixels
from pipeline.inference.classifier import INPUT

log = logging.getLogger(__name__)

PRECISION = "int8"
QUANTISED_OPS = (
    *("Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "Concat"),
    *("MaxPool", "AveragePool", "GlobalAveragePool"),
)
"""Not the normalisation nor the softmax, which cost little and whose ranges are wide."""
CALIBRATION_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedInt8:
    """The quantised model, or why there is none."""

    status: str
    """`accepted`, `refused` or `off`."""
    content: bytes | None = None
    parity: Parity | None = None
    """Against the checkpoint in fp32."""
    reason: str = ""


def prove_int8(
    content: bytes, pixels: Pixels, *, mode: str, check: Callable[[bytes], Parity]
) -> ProvedInt8:
    """Quantise a model file, if that costs little accuracy.

    Args:
        content: the file that `to_onnx` returned.
        pixels: (N, S, S, 3) training images.
        mode: `auto`, `require` or `off`.
        check: the gate; raises ExportError.

    Raises:
        ExportError: the gate refuses it, or it cannot be quantised, and mode is `require`.
    """
    if mode == "off":
        return ProvedInt8(status="off", reason="export_onnx.int8 is off")
    try:
        quantised = to_int8(content, pixels)
        parity = check(quantised)
    except ExportError as error:
        if mode == "require":
            raise
        log.warning("no INT8 model: %s", error)
        return ProvedInt8(status="refused", reason=str(error))
    log.info(
        "INT8, %.1f of %.1f MB: %s", len(quantised) / 1e6, len(content) / 1e6, parity.in_words()
    )
    return ProvedInt8(status="accepted", content=quantised, parity=parity)


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, pixels: Pixels) -> None:
        starts = range(0, len(pixels), CALIBRATION_BATCH)
        self._batches: Iterator[Pixels] = (
            pixels[start : start + CALIBRATION_BATCH] for start in starts
        )

    def get_next(self) -> dict[str, Pixels] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def to_int8(content: bytes, pixels: Pixels) -> bytes:
    """Return the quantised variant of a model file, its metadata kept but for `precision`.

    Args:
        content: the file that `to_onnx` returned.
        pixels: (N, S, S, 3) training images; each activation's range is its least and largest
            value on them.

    Raises:
        ExportError: ONNX Runtime cannot quantise the network.
    """
    proto = onnx.load_from_string(content)
    facts = read_metadata(proto)
    _fuse_normalisation(proto.graph)
    logging.getLogger().addFilter(_no_advice)
    try:
        with tempfile.TemporaryDirectory() as name:
            plain, prepared, out = (Path(name, part) for part in ("a.onnx", "b.onnx", "c.onnx"))
            onnx.save(proto, plain)
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                out,
                _Batches(pixels),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,  # 255 * 64 * 2 fits into 16 bits
                calibrate_method=CalibrationMethod.MinMax,
                op_types_to_quantize=list(QUANTISED_OPS),
                nodes_to_exclude=[n.name for n in proto.graph.node if _is_cam(n)],
            )
            quantised = onnx.load(out)
    except Exception as error:  # ONNX Runtime's errors share no other base class
        detail = " ".join(str(error).split())[:200]
        raise ExportError(f"ONNX Runtime cannot quantise the model: {detail}") from error
    finally:
        logging.getLogger().removeFilter(_no_advice)
    used = {node.domain for node in quantised.graph.node}
    for entry in [e for e in quantised.opset_import if e.domain not in used]:
        quantised.opset_import.remove(entry)  # ONNX Runtime lists every domain that it knows
    set_metadata(
        quantised, {**facts, "precision": PRECISION, "calibration_images": str(len(pixels))}
    )
    return bytes(quantised.SerializeToString(deterministic=True))


def _fuse_normalisation(graph: onnx.GraphProto) -> None:
    """Write (x - mean) / std as one BatchNormalization, exact but for the last bits.

    Between quantised layers ONNX Runtime keeps channels last, where subtracting and dividing by
    three numbers in turn took 2 of resnet18's 11 ms.
    """
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    readers = {value: node for node in graph.node for value in node.input}
    for place, sub in enumerate(graph.node):
        div = readers.get(sub.output[0])
        if sub.op_type != "Sub" or div is None or div.op_type != "Div":
            continue
        mean, std = constants.get(sub.input[1]), constants.get(div.input[1])
        if mean is None or std is None or {mean.shape, std.shape} != {(1, 3, 1, 1)}:
            continue
        values: dict[str, NDArray[Any]] = {
            "normalize_scale": np.ones(3),
            "normalize_shift": np.zeros(3),
            "normalize_mean": mean.ravel(),
            "normalize_var": std.ravel().astype(np.float64) ** 2,
        }
        for name, value in values.items():
            graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
        node = helper.make_node(
            "BatchNormalization",
            [sub.input[0], *values],
            list(div.output),
            name="normalize",
            epsilon=0.0,
        )
        graph.node.insert(place, node)
        for replaced in (sub, div):
            graph.node.remove(replaced)
        for tensor in [t for t in graph.initializer if t.name in (sub.input[1], div.input[1])]:
            graph.initializer.remove(tensor)
        return


def _is_cam(node: NodeProto) -> bool:
    return bool(node.name.startswith(CAM_PREFIX))


def _no_advice(record: logging.LogRecord) -> bool:
    """Drop what onnxruntime.quantization logs for people who call it by hand."""
    return "quantization" not in record.pathname
