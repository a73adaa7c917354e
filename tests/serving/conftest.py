"""A server of a model small enough to be worked by hand, and images it is sure about."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from colour import colour_model, png

from pipeline.core.atomic import write_sha256
from pipeline.core.process import JOBS


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
    """What it said on stderr so far."""
    access: list[dict[str, Any]]
    """Its access log so far."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def logged(self, **facts: Any) -> dict[str, Any]:
        """Wait for the access log's line with these facts, and return it."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for line in reversed(self.access):
                if facts.items() <= line.items():
                    return line
            time.sleep(0.01)
        raise AssertionError((facts, self.access[-5:]))

    def wait_for(self, pattern: str) -> str:
        """Wait for a line on stderr, and return it."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for line in self.log:
                if re.search(pattern, line):
                    return line
            time.sleep(0.01)
        raise AssertionError((pattern, self.log))

    def memory_bytes(self) -> int:
        """Return how much of the machine's memory it holds now."""
        return self._status("VmRSS")

    def n_files(self) -> int:
        """Return how many descriptors it holds open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def _status(self, key: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(rf"{key}:\s+(\d+)", status)[0]) * 1024


@contextmanager
def started(command: list[str]) -> Iterator[Server]:
    """Start a server, wait until it says that it is ready, and kill it in the end."""
    process = subprocess.Popen(
        [sys.executable, *command],
        env={key: value for key, value in os.environ.items() if key != JOBS},  # it is alone
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stdout is not None
    log: list[str] = []
    access: list[dict[str, Any]] = []
    readers = [threading.Thread(target=_collect, args=[process.stdout, access], daemon=True)]
    with process:
        try:
            for line in process.stderr:
                log.append(line)
                if found := re.search(r"ready: http://([0-9.]+):([0-9]+)", line):
                    break
            else:
                raise AssertionError("".join(log))
            readers.append(threading.Thread(target=log.extend, args=[process.stderr], daemon=True))
            for reader in readers:
                reader.start()
            yield Server(process, found[1], int(found[2]), log, access)
        finally:
            process.kill()
            process.wait()
            for reader in readers:
                if reader.ident is not None:
                    reader.join()


def _collect(file: IO[str], lines: list[dict[str, Any]]) -> None:
    for line in file:
        lines.append(json.loads(line))


@pytest.fixture(scope="session")
def start() -> Callable[[list[str]], AbstractContextManager[Server]]:
    """Return the function that starts a server with any command line."""
    return started


@pytest.fixture(scope="module")
def server(model_path: Path) -> Iterator[Server]:
    """Return a server with the limits that users get."""
    with started(["-m", "pipeline.serving", "--model", str(model_path), "--port", "0"]) as running:
        yield running
