"""A server of a model small enough to be worked by hand, and images it is sure about."""

import io
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
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


def colour_model() -> onnx.ModelProto:
    """Softmax of (blue, green, red) / 32: red 96 gives e^3 / (e^3 + 2) = 0.909443."""
    weights = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], np.float32) / 32
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIZE_PX, SIZE_PX, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])],
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


@pytest.fixture(scope="session")
def draw() -> Callable[..., bytes]:
    """Return the function that draws an image of one colour."""
    return png


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the model lies, with its checksum beside it."""
    path = tmp_path_factory.mktemp("models") / "model.onnx"
    path.write_bytes(colour_model().SerializeToString())
    write_sha256(path)
    return path


@dataclass(frozen=True, slots=True)
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    host: str
    port: int
    log: list[str]
    """What it printed so far."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def started(command: list[str]) -> Iterator[Server]:
    """Start a server, wait until it says that it is ready, and kill it in the end."""
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    log: list[str] = []
    with process:
        try:
            for line in process.stderr:
                log.append(line)
                if found := re.search(r"ready: http://([0-9.]+):([0-9]+)", line):
                    break
            else:
                raise AssertionError("".join(log))
            reader = threading.Thread(target=log.extend, args=[process.stderr], daemon=True)
            reader.start()
            yield Server(process, found[1], int(found[2]), log)
        finally:
            process.kill()
            process.wait()
            reader.join()


@pytest.fixture(scope="session")
def start() -> Callable[[list[str]], AbstractContextManager[Server]]:
    """Return the function that starts a server with any command line."""
    return started


@pytest.fixture(scope="module")
def server(model_path: Path) -> Iterator[Server]:
    """Return a server with the limits that users get."""
    with started(["-m", "pipeline.serving", "--model", str(model_path), "--port", "0"]) as running:
        yield running
