"""A real server, asked over HTTP: which request gets which answer."""

import http.client
import json
import math
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from pipeline.inference.classifier import OnnxClassifier

pytestmark = pytest.mark.slow

Draw = Callable[..., bytes]
SURE, REST = math.exp(3) / (math.exp(3) + 2), 1 / (math.exp(3) + 2)
RED = {"blue": REST, "green": REST, "red": SURE}


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


def refused(response: httpx.Response, status: int) -> str:
    """Check that a refusal is JSON with a reason and no path; return the reason."""
    assert response.status_code == status, response.text
    content = response.json()
    assert list(content) == ["error"]
    assert "/" not in content["error"].replace("multipart/", "").replace("application/", "")
    return str(content["error"])


@pytest.mark.parametrize("kind", [None, "image/png", "application/octet-stream", "text/plain"])
def test_a_bare_image_gets_the_probabilities_worked_by_hand(
    client: httpx.Client, draw: Draw, kind: str | None
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    response = client.post("/predict", content=draw((96, 0, 0)), headers=headers)
    assert response.status_code == 200
    assert response.json()["label"] == "red"
    assert response.json()["probabilities"] == pytest.approx(RED, abs=1e-6)
    assert list(response.json()["probabilities"]) == ["blue", "green", "red"]


def test_the_answer_is_the_float32_that_the_classifier_gives(
    client: httpx.Client, model_path: Path, draw: Draw
) -> None:
    content = draw((50, 20, 70))
    (expected,) = OnnxClassifier(model_path).predict_bytes([content])
    found = client.post("/predict", content=content).json()["probabilities"]
    assert np.array(list(found.values()), np.float32).tolist() == expected.tolist()


def test_a_form_with_one_file_is_answered_whatever_the_field_is_called(
    client: httpx.Client, draw: Draw
) -> None:
    files = {"any name": ("x.png", draw((96, 0, 0)), "image/png")}
    response = client.post("/predict", files=files, data={"note": "ignored"})
    assert response.json()["probabilities"] == pytest.approx(RED, abs=1e-6)


def test_forms_without_files_and_with_too_many_are_refused(
    client: httpx.Client, draw: Draw
) -> None:
    def post(body: bytes, kind: str = "multipart/form-data; boundary=b") -> httpx.Response:
        return client.post("/predict", content=body, headers={"Content-Type": kind})

    many = [("a", ("a.png", draw((96, 0, 0))))] * 17
    assert "17 file fields" in refused(client.post("/predict", files=many), 400)
    field = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    file = field.replace(b'"a"', b'"a"; filename="a"')
    assert "0 file fields" in refused(post(field + b"--b--\r\n"), 400)
    assert "parts" in refused(post(field * 33 + b"--b--\r\n"), 400)
    assert "ends before" in refused(post(file), 400)
    assert "malformed" in refused(post(b"nonsense"), 400)
    assert "no bytes" in refused(post(file.replace(b"1", b"") + b"--b--\r\n"), 400)
    assert "boundary" in refused(post(file, "multipart/form-data"), 400)
    assert "multipart/mixed" in refused(post(file, "multipart/mixed; boundary=b"), 415)


def test_what_is_not_an_image_is_refused_with_a_reason(client: httpx.Client, draw: Draw) -> None:
    def post(body: bytes, **headers: str) -> httpx.Response:
        return client.post("/predict", content=body, headers=headers)

    assert "no bytes" in refused(post(b""), 400)
    assert "not an image" in refused(post(b"hello"), 422)
    assert "damaged" in refused(post(draw((1, 2, 3), (300, 300))[:-30]), 422)
    assert "sides" in refused(post(draw((1, 2, 3), (3, 3))), 422)
    json_type = {"content-type": "application/json"}
    assert "application/json" in refused(post(b"{}", **json_type), 415)
    assert "encoding" in refused(post(b"x", **{"content-encoding": "gzip"}), 415)


def test_other_paths_and_methods_are_refused_in_json(client: httpx.Client) -> None:
    assert refused(client.get("/nothing/here"), 404) == "not found"
    response = client.get("/predict")
    assert refused(response, 405) == "method not allowed"
    assert response.headers["allow"] == "POST"
    refused(client.post("/v2/health/live"), 405)


def test_health_and_the_page_are_there(client: httpx.Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    ready = client.get("/v2/health/ready")
    assert ready.status_code == 200
    assert ready.json()["ready"] is True
    page = client.get("/")
    assert page.status_code == 200
    assert not re.search(r"https?://(?!www.w3.org/2000/svg)|innerHTML|src=\"", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_bad_images_never_touch_the_others_of_their_batch(
    server: Any, client: httpx.Client, draw: Draw
) -> None:
    names = ("red", "green", "blue")
    images = {name: draw(tuple(96 * (name == n) for n in names), (200, 200)) for name in names}

    def post(i: int) -> tuple[int, Any]:
        content = images[names[i % 3]] if i % 4 else images["red"][: 40 + i]
        response = client.post("/predict", content=content)
        return response.status_code, response.json()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(240)))
    for i, (status, content) in enumerate(answers):
        if i % 4 == 0:
            assert status == 422
        else:
            assert status == 200
            assert content["label"] == names[i % 3]
            assert content["probabilities"][names[i % 3]] == pytest.approx(SURE, abs=1e-6)


def raw(server: Any, request: bytes) -> socket.socket:
    connection = socket.create_connection((server.host, server.port), timeout=20)
    connection.sendall(request)
    return connection


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /predict HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def answer(connection: socket.socket) -> tuple[int, Any]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())


def test_an_announced_terabyte_is_refused_before_a_byte_is_read(server: Any) -> None:
    with raw(server, head("Content-Length: 1099511627776")) as connection:
        assert answer(connection) == (
            413,
            {"error": "the body is over the limit of 10485760 bytes"},
        )


@pytest.mark.parametrize("closing", [[], ["Connection: close"]])
def test_a_large_chunked_body_is_refused_and_the_client_sees_why(
    server: Any, closing: list[str]
) -> None:
    chunk = b"100000\r\n" + bytes(2**20) + b"\r\n"
    before = memory(server.process.pid)
    with raw(server, head("Transfer-Encoding: chunked", *closing)) as connection:
        for _ in range(50):
            connection.sendall(chunk)
        assert answer(connection)[0] == 413
    assert memory(server.process.pid) - before < 30 * 2**20


def memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1024


def test_what_is_not_http_is_refused(server: Any) -> None:
    for nonsense in (b"hello\r\n\r\n", head("Content-Length: x"), head("Content-Length: -1")):
        with raw(server, nonsense) as connection:
            assert b" 400 " in connection.recv(100)


def test_clients_that_hang_up_leave_nothing_behind(
    server: Any, client: httpx.Client, draw: Draw
) -> None:
    files = Path(f"/proc/{server.process.pid}/fd")
    client.get("/v2/health/live")
    before = len(list(files.iterdir()))
    image = draw((96, 0, 0), (300, 300))
    length = f"Content-Length: {len(image)}"
    for i in range(60):
        whole = (head(), head(length), head(length) + image[:50], head(length) + image)
        raw(server, whole[i % 4]).close()
    deadline = time.monotonic() + 5
    while len(list(files.iterdir())) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(files.iterdir())) <= before
    assert client.post("/predict", content=image).json()["label"] == "red"


def test_a_request_is_one_json_line_of_the_access_log_without_its_query(
    server: Any, client: httpx.Client, draw: Draw
) -> None:
    client.post("/predict?key=secret", content=b"", headers={"X-Request-ID": "an-id.1"})
    line = server.logged(id="an-id.1")
    assert (line["path"], line["status"]) == ("/predict", 400)
    assert {"time", "client", "method", "ms", "bytes_in"} <= set(line)
    assert line["error"] == "empty"
    good = client.post("/predict", content=draw((96, 0, 0)), headers={"X-Request-ID": 'no"t'})
    line = server.logged(id=good.headers["x-request-id"])
    assert re.fullmatch("[0-9a-f]{16}", line["id"])
    assert (line["images"], line["version"], line["status"]) == (1, "1", 200)
    assert "secret" not in json.dumps(server.access) + "".join(server.log)


def test_serving_leaves_the_training_packages_alone() -> None:
    code = """
import sys
import pipeline.serving.__main__, pipeline.serving.app, pipeline.serving.server
unwanted = {"torch", "pandas", "yaml", "dvc", "sklearn", "matplotlib", "onnx", "pydantic"}
print(*sorted(unwanted & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def failure(*arguments: object) -> str:
    """Start a server that cannot start; return its one line."""
    command = [sys.executable, "-m", "pipeline.serving", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert "ready: http" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_server_that_cannot_start_says_why_in_one_line(
    server: Any, model_path: Path, tmp_path: Path
) -> None:
    model = ("--model", model_path, "--port")
    assert "already in use" in failure(*model, server.port)
    assert "cannot serve on nowhere.invalid" in failure(*model, 0, "--host", "nowhere.invalid")
    assert "expected 0 to 65535" in failure(*model, 70000)
    assert "--port" in failure(*model, "http")
    assert "run: dvc repro export_onnx" in failure("--model", tmp_path / "none.onnx")
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(model_path.read_bytes()[:-1] + b"?")
    Path(f"{damaged}.sha256").write_text(Path(f"{model_path}.sha256").read_text())
    assert "the file is damaged" in failure("--model", damaged)


def test_a_leaving_server_is_not_ready_answers_everything_and_exits_with_0(
    model_path: Path, draw: Draw, start: Any
) -> None:
    image = draw((96, 0, 0), (1500, 1500))
    with start(["-m", "pipeline.serving", "--model", str(model_path), "--port", "0"]) as server:
        length = f"Content-Length: {len(image)}"
        # Twenty requests, of which only half have arrived in full, and one client that idles.
        halves = [raw(server, head(length) + image[: len(image) // (1 + i % 2)]) for i in range(20)]
        idle = raw(server, b"")
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        ready = httpx.get(f"{server.url}/v2/health/ready")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert httpx.get(f"{server.url}/v2/health/live").status_code == 200
        assert httpx.post(f"{server.url}/predict", content=image).json()["label"] == "red"
        for i, connection in enumerate(halves):
            if i % 2:
                connection.sendall(image[len(image) // 2 :])
            with connection:
                status, content = answer(connection)
                assert (status, content["label"]) == (200, "red")
        assert server.process.wait(timeout=10) == 0
        idle.close()
    assert not any("Traceback" in line for line in server.log)


def test_ctrl_c_ends_the_server_at_once(model_path: Path, start: Any) -> None:
    with start(["-m", "pipeline.serving", "--model", str(model_path), "--port", "0"]) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=5) == 0
