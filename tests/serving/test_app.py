"""What the endpoints make of the answers of the lanes, without a server."""

import asyncio
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import httpx
import numpy as np
import pytest
from serving.models import full_model, put

from pipeline.core.errors import ArtifactError
from pipeline.imaging.preprocess import Pixels
from pipeline.inference.classifier import Probs
from pipeline.serving.app import FAILED, create_app
from pipeline.serving.limits import Limits
from pipeline.serving.model import Model, load
from pipeline.serving.service import Service
from pipeline.serving.versions import Place

Draw = Callable[..., bytes]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = put(tmp_path_factory.mktemp("app") / "model.onnx", full_model())
    return load(Place(path).newest(), device="cpu")


def served(model: Model) -> Service:
    return Service(model, limits=Limits(), lanes=1, max_batch=1)


def asking(model: Model, ask: Callable[[Pixels], Any]) -> Model:
    """Return the model, which lets `ask` look at each batch before it answers."""

    class Asking(Model):
        def predict(self, pixels: Pixels) -> Probs:
            ask(pixels)
            return model.predict(pixels)

    return Asking(**{field.name: getattr(model, field.name) for field in fields(model)})


def post(service: Service, path: str, **content: Any) -> httpx.Response:
    app = create_app(service)

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {}}, receive, send)  # as uvicorn gives it

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, **content)

    return asyncio.run(main())


def tensor(n_images: int) -> dict[str, Any]:
    shape = [n_images, 16, 16, 3]
    data = np.zeros(shape, int).ravel().tolist()
    return {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": shape, "data": data}]}


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_no_answer_mixes_two_versions(model: Model, version: str) -> None:
    newer = replace(model, version="2")
    service = served(asking(model, lambda pixels: service.adopt(newer)))
    response = post(service, f"/v2/models/classifier{version}/infer", json=tensor(3))
    assert response.status_code == 503
    assert response.json() == {"error": "the model has just been replaced; try again"}
    assert response.headers["retry-after"] == "1"
    again = post(service, "/v2/models/classifier/infer", json=tensor(3)).json()
    assert (again["model_version"], again["outputs"][0]["shape"]) == ("2", [3, 3])


@pytest.mark.parametrize("error", [ArtifactError("/srv/m.onnx: failed"), ValueError("/srv: odd")])
def test_an_image_that_fails_in_the_model_costs_only_its_own_answer(
    model: Model, draw: Draw, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(pixels: Pixels) -> None:
        if (pixels[..., 1] == 96).any():
            raise error

    service = served(asking(model, stumble))
    colours = {"red": (96, 0, 0), "green": (0, 96, 0), "blue": (0, 0, 96)}
    files = [("image", (name, draw(colour))) for name, colour in colours.items()]
    response = post(service, "/predict", files=files)
    assert response.status_code == 200
    red, green, blue = response.json()["predictions"]
    assert (red["label"], blue["label"]) == ("red", "blue")
    assert green == {"name": "green", "error": FAILED, "status": 500}
    assert str(error) in caplog.text
    alone = post(service, "/predict", content=draw(colours["green"]))
    assert (alone.status_code, alone.json()) == (500, {"error": FAILED})
