"""The Open Inference Protocol, with NVIDIA's client as the judge."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from serving.models import full_model, put

from pipeline.inference.classifier import OnnxClassifier

pytestmark = pytest.mark.slow

NAME = "colours"
SURE, REST = math.exp(3) / (math.exp(3) + 2), 1 / (math.exp(3) + 2)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("repository") / NAME
    put(folder / "7/model.onnx", full_model())
    return folder


@pytest.fixture(scope="module")
def server(repository: Path, start: Any) -> Iterator[Any]:
    with start(["-m", "pipeline.serving", "--model", str(repository), "--port", "0"]) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[Any]:
    with triton.InferenceServerClient(f"{server.host}:{server.port}") as client:
        yield client


def pixels(*colours: tuple[int, int, int]) -> Any:
    return np.array([np.full((16, 16, 3), colour) for colour in colours], np.uint8)


def tensor(values: Any, *, binary: bool) -> Any:
    made = triton.InferInput("pixels", list(values.shape), "UINT8")
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def test_health_and_metadata_are_what_the_client_expects(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME)
    assert client.is_model_ready(NAME, "7")
    assert not client.is_model_ready(NAME, "8")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata(NAME)
    assert metadata["versions"] == ["7"]
    assert metadata["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 16, 16, 3]}]
    assert [output["name"] for output in metadata["outputs"]] == ["probabilities", "cam"]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_probabilities_worked_by_hand_come_back_in_json_and_in_binary(
    client: Any, binary_in: bool, binary_out: bool | None
) -> None:
    outputs = None
    if binary_out is not None:
        outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary_out)]
    answer = client.infer(
        NAME,
        [tensor(pixels((96, 0, 0), (0, 0, 96)), binary=binary_in)],
        outputs=outputs,
        request_id="mine",
        model_version="7",
    )
    expected = [[REST, REST, SURE], [SURE, REST, REST]]
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-6)
    response = answer.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == (
        "mine",
        NAME,
        "7",
    )
    assert [output["name"] for output in response["outputs"]] == ["probabilities"]


def test_the_heat_map_is_an_output_whose_mean_is_the_logits(client: Any) -> None:
    image = pixels((0, 0, 0))
    image[0, :8, :8] = (64, 0, 0)  # red in the upper left quarter
    names = ("probabilities", "cam")
    outputs = [triton.InferRequestedOutput(name, binary_data=True) for name in names]
    answer = client.infer(NAME, [tensor(image, binary=True)], outputs=outputs)
    cam = answer.as_numpy("cam")
    assert cam.shape == (1, 3, 4, 4)
    np.testing.assert_allclose(cam[0, 2], np.kron([[2, 0], [0, 0]], np.ones((2, 2))), atol=1e-6)
    exact = np.exp([0, 0, 0.5]) / np.exp([0, 0, 0.5]).sum()
    np.testing.assert_allclose(answer.as_numpy("probabilities")[0], exact, atol=1e-6)


def test_pixels_of_an_image_get_the_answer_of_predict(
    server: Any, client: Any, repository: Path, draw: Callable[..., bytes]
) -> None:
    content = draw((50, 20, 70), (61, 37))
    classifier = OnnxClassifier(repository / "7/model.onnx", device="cpu")
    answer = client.infer(NAME, [tensor(classifier.pixels(content)[None], binary=True)])
    predicted = httpx.post(f"{server.url}/predict", content=content).json()["probabilities"]
    assert answer.as_numpy("probabilities")[0].tolist() == pytest.approx(
        list(predicted.values()), abs=1e-7
    )


def test_as_many_images_as_the_configuration_allows_go_in_one_request(client: Any) -> None:
    many = pixels(*[(i, 0, 0) for i in range(64)])
    answer = client.infer(NAME, [tensor(many, binary=True)]).as_numpy("probabilities")
    assert answer.shape == (64, 3)
    assert (np.diff(answer[:, 2]) > 0).all()
    with pytest.raises(triton.InferenceServerException, match="1 to 64 images"):
        client.infer(NAME, [tensor(pixels(*[(0, 0, 0)] * 65), binary=True)])


def test_the_client_sees_why_it_was_refused(client: Any) -> None:
    good = tensor(pixels((1, 2, 3)), binary=True)
    with pytest.raises(triton.InferenceServerException, match="no such model"):
        client.infer("other", [good])
    with pytest.raises(triton.InferenceServerException, match=r"expected the shape \[N, 16, 16, 3"):
        client.infer(NAME, [tensor(np.zeros((1, 8, 8, 3), np.uint8), binary=True)])
    with pytest.raises(triton.InferenceServerException, match="probabilities and cam"):
        client.infer(NAME, [good], outputs=[triton.InferRequestedOutput("logits")])
    wanted = triton.InferRequestedOutput("probabilities", class_count=2)
    with pytest.raises(triton.InferenceServerException, match="classification"):
        client.infer(NAME, [good], outputs=[wanted])
    with pytest.raises(triton.InferenceServerException, match="content encoding"):
        client.infer(NAME, [good], request_compression_algorithm="gzip")


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 0


DATA = [0] * (16 * 16 * 3)
GOOD = {"name": "pixels", "datatype": "UINT8", "shape": [1, 16, 16, 3], "data": DATA}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"data": DATA[1:]}, "do not fill"),
        ({"data": [256, *DATA[1:]]}, "0 to 255"),
        ({"data": [-1, *DATA[1:]]}, "0 to 255"),
        ({"data": [2**70, *DATA[1:]]}, "0 to 255"),
        ({"data": [0.5, *DATA[1:]]}, "whole numbers"),
        ({"data": [True] * len(DATA)}, "whole numbers"),
        ({"data": [True, *DATA[1:]]}, "whole numbers"),
        ({"data": [None, *DATA[1:]]}, "whole numbers"),
        ({"data": [{}, *DATA[1:]]}, "whole numbers"),
        ({"data": ["a", *DATA[1:]]}, "whole numbers"),
        ({"data": [[0], [1, 2]]}, "no tensor"),
        ({"data": [[0, 1], 2]}, "no tensor"),
        ({"data": [[[0, 1]], [[2], [3]]]}, "no tensor"),
        ({"data": [[], []]}, "do not fill"),
        ({"data": nested(40)}, "do not fill"),
        ({"data": nested(200)}, "no tensor"),
        ({"data": None}, "whole numbers"),
        ({"data": 5}, "whole numbers"),
        ({"data": {}}, "whole numbers"),
        ({"shape": [0, 16, 16, 3], "data": []}, "1 to 64"),
        ({"shape": [-1, 16, 16, 3]}, "1 to 64"),
        ({"shape": [10**30, 16, 16, 3]}, "1 to 64"),
        ({"shape": [True, 16, 16, 3]}, "expected the shape"),
        ({"shape": [1.0, 16, 16, 3]}, "expected the shape"),
        ({"shape": "1"}, "expected the shape"),
        ({"datatype": "FP32"}, "UINT8"),
        ({"name": "image"}, "pixels"),
        ({"parameters": {"binary_data_size": 768}}, "bytes behind the JSON"),
        ({"parameters": {"binary_data_size": "1"}}, "bytes behind the JSON"),
        ({"parameters": []}, "parameters"),
    ],
)
def test_tensors_that_are_none_are_refused(server: Any, changes: dict[str, Any], why: str) -> None:
    response = infer(server, {"inputs": [{**GOOD, **changes}]})
    assert response.status_code == 400, response.text
    assert why in response.json()["error"]


def test_a_list_as_nested_as_its_shape_is_the_flat_one(server: Any) -> None:
    values = np.arange(256).repeat(3).reshape(1, 16, 16, 3)
    flat, deep = (
        infer(server, {"inputs": [{**GOOD, "data": data}]}).json()
        for data in (values.ravel().tolist(), values.tolist())
    )
    assert flat["outputs"][0]["shape"] == [1, 3]
    assert deep == flat


def test_a_long_text_among_short_ones_takes_no_more_memory_than_its_body(server: Any) -> None:
    # As an array of texts of one width this is 16 TiB.
    data = ["x" * 4_000_000, *[""] * 1_000_000]
    body = json.dumps({"inputs": [{**GOOD, "data": data}]}, separators=(",", ":"))
    response = infer(server, body.encode())
    assert response.status_code == 400, response.text
    assert "whole numbers" in response.json()["error"]


def infer(server: Any, content: Any, **headers: str) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx.post(f"{server.url}/v2/models/{NAME}/infer", content=body, headers=headers)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"5", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000),
        *({}, {"inputs": []}, {"inputs": {}}, {"inputs": [1]}, {"inputs": [GOOD, GOOD]}),
        *({"inputs": [GOOD], "outputs": 1}, {"inputs": [GOOD], "outputs": [1]}),
        {"inputs": [GOOD], "outputs": [{"name": "probabilities"}] * 3},
        *({"inputs": [GOOD], "id": 5}, {"inputs": [GOOD], "id": "x" * 1000}),
        {"inputs": [GOOD], "parameters": "x"},
    ],
    ids=str,
)
def test_requests_that_are_none_are_refused(server: Any, content: Any) -> None:
    response = infer(server, content)
    assert response.status_code == 400, response.text
    assert set(response.json()) == {"error"}


@pytest.mark.parametrize("length", ["x", "-1", "99999999", "1e3", "", "9" * 30, "２"])
def test_a_length_that_is_no_length_is_refused(server: Any, length: str) -> None:
    headers = {b"Inference-Header-Content-Length": length.encode()}
    response = httpx.post(
        f"{server.url}/v2/models/{NAME}/infer",
        content=json.dumps({"inputs": [GOOD]}).encode(),
        headers=headers,
    )
    assert response.status_code == 400
    assert "Inference-Header-Content-Length" in response.json()["error"]
