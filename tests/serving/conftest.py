"""A server of a model small enough to be worked by hand, and images it is sure about."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from colour import colour_model, png

from pipeline.core.atomic import write_sha256


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
