"""A server with small limits: slow, large and too many requests, and the good ones among them."""

import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.serving.limits import connections_that_fit

pytestmark = pytest.mark.slow

Draw = Callable[..., bytes]
STRICT = """
import pathlib, sys
from pipeline.core.process import guarded
from pipeline.serving.limits import Limits
from pipeline.serving.model import load
from pipeline.serving.server import bind, serve
from pipeline.serving.service import Service
from pipeline.serving.versions import Place

def main():
    limits = Limits(
        buffered_bytes=2**20, waiting=2, header_s=0.5, body_s=0.5, answer_s=5, linger_s=0.3,
        spare_s=0.5,
    )
    model = load(Place(pathlib.Path(sys.argv[1])).newest(), device="cpu")
    service = Service(model, limits=limits, lanes=1, max_batch=4)
    with bind("127.0.0.1", 0, backlog=100) as listener:
        serve(service, listener)

sys.exit(guarded(main, name="strict"))
"""


@pytest.fixture(scope="module")
def strict(model_path: Path, start: Any) -> Iterator[Any]:
    with start(["-c", STRICT, str(model_path)]) as server:
        yield server


def connect(server: Any, request: bytes) -> socket.socket:
    connection = socket.create_connection((server.host, server.port), timeout=20)
    connection.sendall(request)
    return connection


def seconds_until_closed(connection: socket.socket) -> float:
    start = time.monotonic()
    with connection:
        while connection.recv(2**16):
            pass
    return time.monotonic() - start


HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"


def test_slow_clients_are_cut_and_good_ones_answered_meanwhile(strict: Any, draw: Draw) -> None:
    silent = [connect(strict, b"") for _ in range(10)]
    half_heads = [connect(strict, HEAD) for _ in range(10)]
    half_bodies = [connect(strict, HEAD + b"\r\n123") for _ in range(20)]
    good = [httpx.post(f"{strict.url}/predict", content=draw((96, 0, 0))) for _ in range(5)]
    assert [response.status_code for response in good] == [200] * 5
    for connection in half_bodies:
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 408
        assert json.loads(response.read()) == {"error": "the body took over 0.5 s"}
    for connection in silent + half_heads + half_bodies:
        assert seconds_until_closed(connection) < 2


def test_a_byte_now_and_then_does_not_keep_a_connection_open(strict: Any) -> None:
    for begin in (b"GET / HTTP/1.1\r\nX: ", HEAD + b"\r\n"):
        start = time.monotonic()
        with connect(strict, begin) as connection:
            connection.settimeout(0.1)
            while time.monotonic() - start < 5:
                try:
                    connection.sendall(b"x")
                    if connection.recv(2**16) == b"":
                        break
                except TimeoutError:
                    pass
                except ConnectionError:
                    break
        assert time.monotonic() - start < 3


def test_a_full_queue_is_told_to_come_back_and_the_others_are_answered(
    strict: Any, draw: Draw
) -> None:
    image = draw((96, 0, 0), (3000, 3000))
    with httpx.Client(base_url=strict.url, timeout=20) as client, ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda _: client.post("/predict", content=image), range(24)))
        statuses = Counter(response.status_code for response in responses)
        assert set(statuses) == {200, 503}
        for response in responses:
            if response.status_code == 503:
                assert response.headers["retry-after"] == "1"
                assert response.json() == {"error": "the queue is full; try again"}
            else:
                assert response.json()["label"] == "red"
        assert client.post("/predict", content=image).status_code == 200


def test_bodies_that_do_not_fit_into_memory_are_told_to_come_back(strict: Any) -> None:
    response = httpx.post(f"{strict.url}/predict", content=bytes(2 * 2**20))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert httpx.post(f"{strict.url}/predict", content=bytes(2**19)).status_code == 422


def test_connections_leave_room_for_the_servers_own_files() -> None:
    assert connections_that_fit(10) == 10
    assert 2 <= connections_that_fit(10**12) < 10**12
