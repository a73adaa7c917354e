"""SIGTERM under load: everybody who was let in is answered, and the process ends with 0."""

import http.client
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

Draw = Callable[..., bytes]


def leave_under_load(start: Any, model_path: Path, image: bytes, delay_s: float) -> Counter[str]:
    """Let 16 clients ask without pause, send SIGTERM, and say what became of each request.

    A client stops at the first connection that is refused: it would be sent elsewhere. A request
    is lost if its connection was made and no answer came.
    """
    ends: Counter[str] = Counter()
    with start(["-m", "pipeline.serving", "--model", str(model_path), "--port", "0"]) as server:

        def ask() -> None:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
            while True:
                try:
                    connection.connect() if connection.sock is None else None
                except ConnectionRefusedError:
                    return
                try:
                    connection.request("POST", "/predict", body=image)
                    response = connection.getresponse()
                    response.read()
                    ends[str(response.status)] += 1
                except (http.client.HTTPException, OSError) as error:
                    ends[f"lost: {type(error).__name__}"] += 1
                    connection.close()

        clients = [threading.Thread(target=ask) for _ in range(16)]
        for client in clients:
            client.start()
        time.sleep(delay_s)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
        # Its own clock, for this one may stand still: uvicorn says when its patience had to end.
        assert not any("graceful shutdown exceeded" in line for line in server.log), server.log
        for client in clients:
            client.join()
        assert not any("Traceback" in line for line in server.log), server.log
    return ends


def check(ends: Counter[str]) -> None:
    assert ends["200"] > 16
    assert set(ends) <= {"200", "503"}, ends


@pytest.mark.parametrize("delay_s", [0.2, 0.5, 0.9])
def test_no_request_is_lost(start: Any, model_path: Path, draw: Draw, delay_s: float) -> None:
    check(leave_under_load(start, model_path, draw((96, 0, 0), (600, 400)), delay_s))


@pytest.mark.campaign
def test_no_request_is_lost_in_a_hundred_times(start: Any, model_path: Path, draw: Draw) -> None:
    for i in range(100):
        check(leave_under_load(start, model_path, draw((96, 0, 0), (600, 400)), 0.1 + i * 0.013))
