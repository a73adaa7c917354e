"""Hundreds of hostile requests, fuzzed images, slow and leaving clients: nothing falls over."""

import http.client
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from imaging.dirty import collection
from serving import hostile

pytestmark = pytest.mark.slow

Draw = Callable[..., bytes]
PATIENCE_S = 30
"""Of a client; every deadline of the server is shorter."""


def exchange(server: Any, request: bytes) -> list[int]:
    """Send bytes, end the sending side, and return the status of each answer until the end."""
    with socket.create_connection((server.host, server.port), timeout=PATIENCE_S) as connection:
        received = b""
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(2**16):
                received += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def check(server: Any, named: list[tuple[str, bytes]]) -> None:
    """Send all of them, eight at a time, and look at what came of each."""

    def wrong(item: tuple[str, bytes]) -> str | None:
        name, request = item
        try:
            statuses = exchange(server, request)
        except TimeoutError:
            return f"{name}: no end in {PATIENCE_S} s"
        bad = [status for status in statuses if status >= 500 and status != 503]
        return f"{name}: {statuses}" if bad else None

    with ThreadPoolExecutor(8) as pool:
        found = [fault for fault in pool.map(wrong, named) if fault]
    assert found == []
    assert server.process.poll() is None
    assert not any("Traceback" in line for line in server.log), "".join(server.log)


def assert_alive(server: Any, draw: Draw) -> None:
    response = httpx.post(f"{server.url}/predict", content=draw((96, 0, 0)), timeout=PATIENCE_S)
    assert response.json()["label"] == "red"


def test_hostile_requests_are_answered_or_cut(server: Any, draw: Draw) -> None:
    everything = list(hostile.requests(draw((96, 0, 0))))
    assert len(everything) + len(list(hostile.bodies())) >= 400
    check(server, everything)
    assert_alive(server, draw)


def test_hostile_images_are_answered(server: Any, draw: Draw) -> None:
    check(server, list(hostile.bodies())[::12])
    assert_alive(server, draw)


CHUNKED = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        (CHUNKED + b"0\r\n", b"X: " + b"a" * 1019 + b"\r\n"),
        (CHUNKED + b"0\r\nX: ", b"a" * 1024),
        (CHUNKED + b"1;x=", b"a" * 1024),
    ],
    ids=["many trailers", "a long trailer", "a long chunk extension"],
)
def test_what_is_neither_header_nor_body_is_limited_as_headers_are(
    server: Any, draw: Draw, begin: bytes, endless: bytes
) -> None:
    address = server.host, server.port
    with socket.create_connection(address, timeout=PATIENCE_S) as connection:
        connection.sendall(begin)
        with pytest.raises(ConnectionError):
            connection.sendall(endless * 2**14)  # 16 MiB: more than the kernel keeps for a server
    assert_alive(server, draw)


def test_small_chunks_and_short_trailers_are_no_long_headers(server: Any, draw: Draw) -> None:
    image = draw((96, 0, 0), (300, 300))
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in image * 30)
    head = CHUNKED.removesuffix(b"1\r\na\r\n")
    request = head + chunks + b"0\r\nX: " + b"a" * 30_000 + b"\r\n\r\n"
    assert len(chunks) > 64 * 2**10
    with socket.create_connection((server.host, server.port), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 200


@pytest.mark.campaign
def test_every_hostile_image_is_answered(server: Any, draw: Draw) -> None:
    check(server, list(hostile.bodies()))
    assert_alive(server, draw)


def seeds() -> list[bytes]:
    small = (dirty for dirty in collection() if "accepted" in dirty.verdicts)
    return [dirty.content for dirty in small if len(dirty.content) < 20_000]


def send_fuzzed(server: Any, n: int, *, seed: int) -> Counter[int]:
    """Send n fuzzed images over keep-alive connections, some hundred a second."""
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:

        def ask(content: bytes) -> int:
            response = client.post("/predict", content=content)
            if response.status_code == 200:
                probs = list(response.json()["probabilities"].values())
                assert np.isfinite(probs).all()
                assert sum(probs) == pytest.approx(1, abs=1e-5)
            return response.status_code

        with ThreadPoolExecutor(4) as pool:
            return Counter(pool.map(ask, hostile.fuzzed(seeds(), n, seed=seed)))


def test_malformed_images_are_refused_or_classified(server: Any, draw: Draw) -> None:
    statuses = send_fuzzed(server, 500, seed=1)
    assert set(statuses) <= {200, 400, 422, 503}
    assert statuses[422] > 50
    assert_alive(server, draw)


@pytest.mark.campaign
def test_ten_thousand_malformed_images_leave_no_memory_behind(server: Any, draw: Draw) -> None:
    sizes = []
    for _ in range(4):
        statuses = send_fuzzed(server, 10_000, seed=2)
        assert set(statuses) <= {200, 400, 422, 503}
        sizes.append(server.memory_bytes())
    assert sizes[3] < 1.05 * sizes[1], sizes
    assert_alive(server, draw)


@pytest.fixture(scope="module")
def slow_peers(server: Any, draw: Draw) -> Iterator[list[socket.socket]]:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    beginnings = [b"", b"POST /pre", head, head + b"\r\n123"]
    peers = [
        socket.create_connection((server.host, server.port), timeout=PATIENCE_S) for _ in range(40)
    ]
    for number, peer in enumerate(peers):
        peer.sendall(beginnings[number % 4])
    yield peers
    for peer in peers:
        peer.close()


def test_slow_peers_are_cut_in_time_while_good_requests_are_answered(
    server: Any, draw: Draw, slow_peers: list[socket.socket]
) -> None:
    start = time.monotonic()
    open_peers = set(slow_peers)
    n_good = 0
    while open_peers and time.monotonic() - start < 60:  # a busy machine may be late, not this late
        response = httpx.post(f"{server.url}/predict", content=draw((96, 0, 0)), timeout=20)
        assert response.status_code == 200
        n_good += 1
        for peer in list(open_peers):
            peer.settimeout(0.01)
            try:
                peer.sendall(b"a")  # a byte now and then
                if peer.recv(2**16) == b"":
                    open_peers.remove(peer)
            except TimeoutError:
                pass
            except OSError:
                open_peers.remove(peer)
    assert not open_peers
    assert n_good > 5


def hang_up(server: Any, image: bytes, n: int) -> None:
    """Let n clients leave: at once, after the headers, in the body, before the answer."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(image)
    parts = (b"", head[:20], head, head + image[:50], head + image)
    for number in range(n):
        with socket.create_connection((server.host, server.port), timeout=PATIENCE_S) as peer:
            peer.sendall(parts[number % 5])


def check_files(server: Any, image: bytes, n: int) -> None:
    httpx.get(f"{server.url}/v2/health/live")
    time.sleep(0.2)
    before = server.n_files()
    hang_up(server, image, n)
    # Those who have left may still wait to be accepted: it must stay so for a while.
    deadline, n_calm = time.monotonic() + 30, 0
    while n_calm < 10 and time.monotonic() < deadline:
        n_calm = n_calm + 1 if server.n_files() <= before + 2 else 0
        time.sleep(0.1)
    assert n_calm == 10, (before, server.n_files())


def test_clients_that_hang_up_leave_no_descriptor_behind(server: Any, draw: Draw) -> None:
    check_files(server, draw((96, 0, 0), (300, 300)), 200)
    assert_alive(server, draw)


@pytest.mark.campaign
def test_a_thousand_clients_that_hang_up_leave_no_descriptor_behind(
    server: Any, draw: Draw
) -> None:
    check_files(server, draw((96, 0, 0), (300, 300)), 1000)
    assert_alive(server, draw)


def test_too_many_connections_are_told_to_come_back(model_path: Any, start: Any) -> None:
    limited = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
runpy.run_module("pipeline.serving", run_name="__main__", alter_sys=True)
"""
    with start(["-c", limited, "--model", str(model_path), "--port", "0"]) as server:
        held = [socket.create_connection((server.host, server.port)) for _ in range(17)]
        try:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE_S)
            connection.request("GET", "/v2/health/live")
            response = connection.getresponse()
            assert (response.status, response.getheader("retry-after")) == (503, "1")
            assert b"too many connections" in response.read()
        finally:
            for peer in held:
                peer.close()
        server.wait_for("ready")
        deadline = time.monotonic() + 20
        while httpx.get(f"{server.url}/v2/health/live").status_code != 200:
            assert time.monotonic() < deadline
