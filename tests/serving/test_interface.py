"""Keys, CORS, several images, heat-map, metrics and the OpenAPI document, over HTTP."""

import io
import math
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openapi_spec_validator import validate
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from serving.models import full_model, put

from pipeline.serving.app import VERSION

pytestmark = pytest.mark.slow

Draw = Callable[..., bytes]
KEY, OTHER = "0123456789abcdef0123", "a-second-key-of-length"
ORIGIN = "https://example.org"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, start: Any) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("keyed")
    model = put(folder / "model.onnx", full_model(threshold=0.7, accuracy="0.97"))
    (folder / "keys").write_text(f"{KEY}\n\n{OTHER}\n")
    command = ["-m", "pipeline.serving", "--model", str(model), "--port", "0"]
    with start(
        [*command, "--api-key-file", str(folder / "keys"), "--allow-origin", ORIGIN]
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=20) as client:
        yield client


def test_without_a_key_only_health_page_and_openapi_are_open(server: Any, draw: Draw) -> None:
    image = draw((96, 0, 0))
    with httpx.Client(base_url=server.url) as client:
        asks = {
            "/predict": client.post("/predict", content=image),
            "/v2/models/classifier/infer": client.post("/v2/models/classifier/infer", content=b""),
            **{path: client.get(path) for path in ("/model", "/metrics", "/v2/models/classifier")},
        }
        for path, response in asks.items():
            assert response.status_code == 401, path
            assert response.headers["www-authenticate"] == "Bearer"
            assert "API key" in response.json()["error"]
        for path in ("/", "/openapi.json", "/v2", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200, path
        assert client.get("/v2/models/classifier/ready").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"Authorization": f"bearer {OTHER}"}, 200),
        ({"X-API-Key": OTHER}, 200),
        ({"Authorization": f"Bearer {KEY}x"}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer x", "X-API-Key": KEY}, 401),
        ({"X-API-Key": KEY[:-1]}, 401),
        ({"X-API-Key": KEY + "é"}, 401),
    ],
)
def test_a_key_opens(server: Any, draw: Draw, headers: dict[str, str], status: int) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}
    response = httpx.post(f"{server.url}/predict", content=draw((96, 0, 0)), headers=encoded)
    assert response.status_code == status


def test_only_the_allowed_origin_may_ask_from_a_browser(client: httpx.Client) -> None:
    def allowed(origin: str) -> str | None:
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        response = client.options("/predict", headers=preflight)
        return response.headers.get("access-control-allow-origin")

    assert allowed(ORIGIN) == ORIGIN
    assert allowed("https://evil.example") is None


def test_cors_is_off_unless_it_is_asked_for(model_path: Path, start: Any) -> None:
    with start(["-m", "pipeline.serving", "--model", str(model_path), "--port", "0"]) as server:
        response = httpx.get(f"{server.url}/model", headers={"Origin": ORIGIN})
        assert response.status_code == 200
        assert "access-control-allow-origin" not in response.headers
        assert httpx.options(f"{server.url}/predict").status_code == 405


def test_several_images_get_an_answer_or_an_error_each(client: httpx.Client, draw: Draw) -> None:
    names = {"red.png": (96, 0, 0), "bad.png": None, "green <b>.png": (0, 96, 0)}
    files = [("image", (n, b"nonsense" if c is None else draw(c))) for n, c in names.items()]
    response = client.post("/predict", files=files)
    assert response.status_code == 200
    first, second, third = response.json()["predictions"]
    assert [first["name"], second["name"], third["name"]] == list(names)
    assert (first["label"], third["label"]) == ("red", "green")
    assert second["status"] == 422
    assert "not an image" in second["error"]


def test_unsure_is_what_lies_below_the_models_threshold(client: httpx.Client, draw: Draw) -> None:
    # The red class has e^x / (e^x + 2) of x = red / 32: 0.91 of 96, 0.48 of 20.
    for red, unsure in ((96, False), (20, True)):
        content = client.post("/predict", content=draw((red, 0, 0))).json()
        expected = math.exp(red / 32) / (math.exp(red / 32) + 2)
        assert content["probabilities"]["red"] == pytest.approx(expected, abs=1e-6)
        assert (content["label"], content["unsure"]) == ("red", unsure)
        assert set(content["timing_ms"]) == {"queue", "decode", "model"}
        assert "cam" not in content


def test_the_heat_map_shows_where_the_class_is(client: httpx.Client) -> None:
    image = Image.new("RGB", (32, 32))
    image.paste((96, 0, 0), (16, 0, 32, 16))  # upper right
    file = io.BytesIO()
    image.save(file, "PNG")
    content = client.post("/predict?cam=1", content=file.getvalue()).json()
    assert content["label"] == "red"
    cam = np.array(content["cam"])
    assert cam.shape == (4, 4)
    assert cam[0, 3] == pytest.approx(3, abs=0.01)
    assert cam[3, 0] == pytest.approx(0, abs=0.01)


def test_the_card_tells_what_the_file_carries(client: httpx.Client) -> None:
    card = client.get("/model").json()
    assert card["classes"] == ["blue", "green", "red"]
    assert (card["threshold"], card["cam"], card["size_px"]) == (0.7, True, 16)
    assert card["provider"] == "CPUExecutionProvider"
    assert card["metadata"]["accuracy"] == "0.97"
    assert re.fullmatch("[0-9a-f]{64}", card["sha256"])


def metrics(client: httpx.Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}


def test_prometheus_reads_what_happened(client: httpx.Client, draw: Draw) -> None:
    def change(name: str, **labels: str) -> float:
        key = name, tuple(sorted(labels.items()))
        return after.get(key, 0) - before.get(key, 0)

    before = metrics(client)
    for _ in range(3):
        client.post("/predict", content=draw((96, 0, 0)))
    client.post("/predict", content=b"nonsense")
    client.get("/nothing/like/it")
    after = metrics(client)
    assert change("classifier_requests_total", endpoint="predict", code="200") == 3
    assert change("classifier_requests_total", endpoint="predict", code="422") == 1
    assert change("classifier_requests_total", endpoint="other", code="404") == 1
    assert change("classifier_rejections_total", reason="not_an_image") == 1
    assert change("classifier_batch_images_count") == 3
    for part in ("queue", "decode", "model"):
        assert change("classifier_seconds_count", part=part) == 3
    assert change("classifier_seconds_count", part="request") == 6
    for gauge in ("queue_images", "images_in_flight"):
        assert after[f"classifier_{gauge}", ()] == 0
    assert after["classifier_ready", ()] == 1
    assert after["classifier_connections", ()] >= 1
    (info,) = [dict(labels) for name, labels in after if name == "classifier_model_info"]
    assert info["provider"] == "CPUExecutionProvider"
    assert info["version"] == "1"
    assert not any("nothing/like/it" in value for _, labels in after for _, value in labels)


def test_the_openapi_document_is_valid_and_lists_what_is_there(
    client: httpx.Client, draw: Draw
) -> None:
    document = client.get("/openapi.json").json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == VERSION
    for path, operations in document["paths"].items():
        url = path.replace("{name}", "classifier").replace("{version}", "1")
        for method, operation in operations.items():
            content = draw((96, 0, 0)) if method == "post" else None
            response = client.request(method.upper(), url, content=content)
            assert str(response.status_code) in operation["responses"], (path, method)
            assert response.status_code not in (404, 405), (path, method)
            other = "GET" if method == "post" else "POST"
            assert client.request(other, url).status_code == 405, path
            kind = response.headers["content-type"].partition(";")[0]
            answer = operation["responses"][str(response.status_code)]
            assert kind in answer["content"], (path, method)
            if path != "/v2" and "/ready" not in path and path not in OPEN:
                assert operation["security"], path


OPEN = ("/", "/openapi.json", "/v2/health/live")


def test_every_route_is_in_the_openapi_document(client: httpx.Client, model_path: Path) -> None:
    from pipeline.serving.app import create_app
    from pipeline.serving.limits import Limits
    from pipeline.serving.model import load
    from pipeline.serving.service import Service
    from pipeline.serving.versions import Place

    model = load(Place(model_path).newest(), device="cpu")
    app = create_app(Service(model, limits=Limits(), lanes=1, max_batch=1))
    document = client.get("/openapi.json").json()
    assert {route.path for route in app.routes} == set(document["paths"])  # type: ignore[attr-defined]


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
