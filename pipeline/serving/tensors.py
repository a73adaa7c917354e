"""Requests and answers of the Open Inference Protocol: JSON, with tensors in it or behind it.

Source: KServe, Open Inference Protocol (V2), required API and the binary tensor data extension.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.preprocess import Pixels
from pipeline.inference.classifier import CAM, INPUT, OUTPUT
from pipeline.serving.model import Model
from pipeline.serving.refusal import Refusal

HEADER_LENGTH = "inference-header-content-length"
MAX_IMAGES = 64
"""As `max_batch_size` of config.pbtxt."""
MAX_ID = 128


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that a client asks for."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """A request for N images."""

    id: str | None
    pixels: Pixels
    """(N, S, S, 3)."""
    outputs: tuple[Wanted, ...]


def bad(message: str) -> Refusal:
    """Return the refusal of a request that is not of the protocol."""
    return Refusal(400, "tensor", message)


def read_request(body: bytes, header_length: str | None, model: Model) -> InferRequest:
    """Read the body of an infer request.

    Args:
        body: JSON, and behind it the binary tensors.
        header_length: how many bytes of it are JSON, as the client's header says; None for all.
        model: whose input and outputs are meant.

    Raises:
        Refusal: 400, with what was expected.
    """
    head, tail = _divide(body, header_length)
    content = _json_object(head)
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise bad(f"expected exactly one input, {INPUT}")
    request_id = content.get("id")
    if request_id is not None and not (isinstance(request_id, str) and len(request_id) <= MAX_ID):
        raise bad(f"id: expected a text of at most {MAX_ID} characters")
    return InferRequest(
        id=request_id,
        pixels=_pixels(inputs[0], tail, model),
        outputs=_outputs(content, model),
    )


def write_answer(
    request: InferRequest, model: Model, arrays: dict[str, NDArray[np.float32]]
) -> tuple[bytes, int | None]:
    """Return the body of the answer, and how many bytes of it are JSON (None for all)."""
    outputs, tail = [], []
    for wanted in request.outputs:
        array = arrays[wanted.name]
        output: dict[str, Any] = {
            "name": wanted.name,
            "datatype": "FP32",
            "shape": list(array.shape),
        }
        if wanted.binary:
            tail.append(array.astype("<f4").tobytes())
            output["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            output["data"] = [float(str(value)) for value in array.ravel()]
        outputs.append(output)
    content = {"model_name": model.name, "model_version": model.version, "outputs": outputs}
    if request.id is not None:
        content["id"] = request.id
    head = json.dumps(content, allow_nan=False).encode()
    return head + b"".join(tail), len(head) if tail else None


def model_metadata(model: Model) -> dict[str, Any]:
    """Return what the protocol tells about a model."""
    size, n_classes = model.size_px, len(model.classes)
    outputs = [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, n_classes]}]
    if model.has_cam:
        outputs.append({"name": CAM, "datatype": "FP32", "shape": [-1, n_classes, -1, -1]})
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, size, size, 3]}],
        "outputs": outputs,
    }


def _divide(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > 9:
        raise bad("Inference-Header-Content-Length is no number")
    length = int(header_length)
    if length > len(body):
        raise bad(f"Inference-Header-Content-Length is {length}, the body has {len(body)} bytes")
    return body[:length], memoryview(body)[length:]


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad("the body is not JSON") from error
    if not isinstance(content, dict):
        raise bad("expected a JSON object")
    return content


def _pixels(tensor: dict[str, Any], tail: memoryview, model: Model) -> Pixels:
    size = model.size_px
    shape: Any = tensor.get("shape")
    if tensor.get("name") != INPUT or tensor.get("datatype") != "UINT8":
        raise bad(f"expected the input {INPUT} of datatype UINT8")
    if not _is_shape(shape) or shape[1:] != [size, size, 3]:
        raise bad(f"{INPUT}: expected the shape [N, {size}, {size}, 3]")
    if not 1 <= shape[0] <= MAX_IMAGES:
        raise bad(f"{INPUT}: expected 1 to {MAX_IMAGES} images")
    size_bytes = _parameters(tensor).get("binary_data_size")
    flat = _from_json(tensor.get("data")) if size_bytes is None else _from_binary(tail, size_bytes)
    if len(flat) != shape[0] * size * size * 3:
        raise bad(f"{INPUT}: {len(flat)} values do not fill the shape {shape}")
    return flat.reshape(shape)


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and len(shape) == 4 and all(type(side) is int for side in shape)


def _from_binary(tail: memoryview, size_bytes: Any) -> Pixels:
    if type(size_bytes) is not int or size_bytes != len(tail):
        raise bad(f"{INPUT}: binary_data_size is not the {len(tail)} bytes behind the JSON")
    return np.frombuffer(tail, np.uint8)


def _from_json(data: Any) -> Pixels:
    """Return a flat array of a list, nested or not, of whole numbers from 0 to 255."""
    # As objects: numpy would make texts of one width, the longest one's, for every value.
    values = np.asarray(data, dtype=object).ravel()
    kinds = set(map(type, values))
    if list in kinds:  # ragged, or deeper than numpy goes
        raise bad(f"{INPUT}: data is no tensor")
    if type(data) is not list or not kinds <= {int}:
        raise bad(f"{INPUT}: expected data as a list of whole numbers")
    if values.size and not 0 <= values.min() <= values.max() <= 255:
        raise bad(f"{INPUT}: expected values from 0 to 255")
    return values.astype(np.uint8)


def _outputs(content: dict[str, Any], model: Model) -> tuple[Wanted, ...]:
    default = _parameters(content).get("binary_data_output") is True
    asked = content.get("outputs")
    if asked in (None, []):
        return (Wanted(OUTPUT, default),)
    if not isinstance(asked, list) or not all(isinstance(output, dict) for output in asked):
        raise bad("outputs: expected a list of objects")
    names = [output.get("name") for output in asked]
    known = [OUTPUT, CAM] if model.has_cam else [OUTPUT]
    if any(name not in known for name in names) or len(names) > len(known):
        raise bad(f"outputs: this model has {_listed(known)}")
    parameters = [_parameters(output) for output in asked]
    if any("classification" in found for found in parameters):
        raise bad("outputs: the classification extension is not supported")
    flags = [found.get("binary_data", default) is True for found in parameters]
    return tuple(Wanted(name, flag) for name, flag in zip(names, flags, strict=True))


def _parameters(content: dict[str, Any]) -> dict[str, Any]:
    parameters = content.get("parameters", {})
    if not isinstance(parameters, dict):
        raise bad("parameters: expected an object")
    return parameters


def _listed(names: Iterable[str]) -> str:
    return " and ".join(names)
