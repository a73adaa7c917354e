"""A server that speaks S3, on loopback: moto's, in a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of the server."""

    endpoint: str
    name: str

    def n_objects(self) -> int:
        """Return how many objects it holds, up to a thousand."""
        return httpx.get(f"{self.endpoint}/{self.name}", trust_env=False, timeout=60).text.count(
            "<Key>"
        )


@contextmanager
def bucket(log: Path, name: str = "lesson1") -> Iterator[Bucket]:
    """Start the server on a free port, make a bucket, and end the server."""
    with log.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    try:
        with log.open() as said:
            while not (found := re.search(r"http://127\.0\.0\.1:[0-9]+", said.read())):
                said.seek(0)
                assert server.poll() is None, log.read_text()
        httpx.put(f"{found[0]}/{name}", trust_env=False, timeout=60).raise_for_status()
        yield Bucket(found[0], name)
    finally:
        server.kill()
        server.wait()
