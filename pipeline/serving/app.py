"""The HTTP interface: which request gets which answer.

POST /predict                   an image as the body, or a form with files -> probabilities
GET  /model                     what is known about the model
GET  /v2...                     Open Inference Protocol: health, metadata, POST .../infer
GET  /metrics                   for Prometheus
GET  /openapi.json              this list, for machines
GET  /                          a page to try it out

Every refusal is `{"error": reason}` and never carries a path of the server. docs/serving.md lists
the status codes.
"""

import asyncio
import base64
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from pipeline.core.errors import PipelineError, RequestError
from pipeline.imaging.preprocess import Pixels
from pipeline.inference.classifier import CAM, OUTPUT
from pipeline.serving import tensors
from pipeline.serving.bodies import Bodies
from pipeline.serving.exchange import note
from pipeline.serving.keys import check_key
from pipeline.serving.lanes import Answer
from pipeline.serving.metrics import CONTENT_TYPE
from pipeline.serving.model import Model
from pipeline.serving.multipart import FormFile, form_files
from pipeline.serving.openapi import describe
from pipeline.serving.refusal import RETRY_AFTER_S, Refusal
from pipeline.serving.service import Prepare, Service, encoded

log = logging.getLogger(__name__)

SERVER, VERSION = "lesson1-pipeline", "0.1.0"
CLIENT_LEFT = 499  # nginx's number for a client that hung up; it is logged, nobody receives it
FAILED = "the server failed; see its log"

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(
    service: Service, *, keys: tuple[bytes, ...] = (), origins: Sequence[str] = ()
) -> Starlette:
    """Return the ASGI application that answers with `service`.

    Args:
        service: the model and its queue.
        keys: API keys; none lets everybody ask. Health, the page and the OpenAPI document are open
            in either case.
        origins: web origins whose pages may ask (CORS); none by default.
    """
    site = _Site(service, keys)
    model = "/v2/models/{name}"
    routes = [
        Route("/predict", site.predict, methods=["POST"]),
        Route("/model", site.model),
        Route("/v2", site.server),
        Route("/v2/health/live", site.live),
        Route("/v2/health/ready", site.ready),
        *(
            Route(f"{prefix}{suffix}", endpoint, methods=[method])
            for prefix in (model, model + "/versions/{version}")
            for suffix, endpoint, method in (
                ("", site.model_metadata, "GET"),
                ("/ready", site.model_ready, "GET"),
                ("/infer", site.infer, "POST"),
            )
        ),
        Route("/metrics", site.metrics),
        Route("/openapi.json", site.openapi),
        Route("/", site.home),
    ]
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )
    return Starlette(
        routes=routes,
        middleware=[cors] if origins else [],
        exception_handlers={
            RequestError: site.refuse,
            HTTPException: site.refuse_http,
            ClientDisconnect: site.client_left,
            Exception: site.fail,
        },
    )


class _Site:
    """The endpoints; each is one method."""

    def __init__(self, service: Service, keys: tuple[bytes, ...]) -> None:
        self._service, self._keys = service, keys
        self._bodies = Bodies(service.limits, service.metrics)
        self._page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
        self._page_headers = _page_headers(self._page)

    async def predict(self, request: Request) -> Response:
        """Classify the image in the body, or each file of a form."""
        check_key(request.headers, self._keys)
        form_type = _form_type(request)
        wants_cam = request.query_params.get("cam") in ("1", "true")
        async with self._bodies.read(request) as body:
            if form_type is None:
                files = [FormFile("", body)]
            else:
                files = await asyncio.to_thread(form_files, body, form_type)
                self._check_count(files)
            answers = await self._classify(
                request, [encoded(file.content) for file in files], wants_cam=wants_cam
            )
        if len(files) == 1:
            return JSONResponse(_shown(_checked(answers[0])))
        shown = [self._one_of_many(*pair) for pair in zip(files, answers, strict=True)]
        return JSONResponse({"predictions": shown})

    async def infer(self, request: Request) -> Response:
        """Classify N images that the client has made into pixels."""
        check_key(request.headers, self._keys)
        model = self._model_asked_for(request)
        header_length = request.headers.get(tensors.HEADER_LENGTH)
        async with self._bodies.read(request) as body:
            # A long JSON must not hold up the event loop.
            asked = await asyncio.to_thread(tensors.read_request, body, header_length, model)
        wants_cam = any(output.name == CAM for output in asked.outputs)
        ready = [_ready_made(pixels, model) for pixels in asked.pixels]
        answers = await self._classify(request, ready, wants_cam=wants_cam)
        checked = [_checked(answer) for answer in answers]
        arrays = {OUTPUT: np.stack([answer.probs for answer in checked])}
        if wants_cam:
            arrays[CAM] = np.stack([_cam_of(answer) for answer in checked])
        content, json_bytes = tensors.write_answer(asked, model, arrays)
        if json_bytes is None:
            return Response(content, media_type="application/json")
        headers = {tensors.HEADER_LENGTH: str(json_bytes)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def model(self, request: Request) -> Response:
        """Tell what is known about the model."""
        check_key(request.headers, self._keys)
        return JSONResponse(self._service.model.card())

    async def server(self, request: Request) -> Response:
        """Tell what this server is, as the protocol wants it."""
        extensions = ["binary_tensor_data"]
        content = {"name": SERVER, "version": VERSION, "extensions": extensions}
        return JSONResponse(content)

    async def live(self, request: Request) -> Response:
        """Answer 200 while the process runs."""
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """Answer 200 while requests are welcome, 503 once the server is leaving."""
        service, model = self._service, self._service.model
        content = {
            "ready": not service.leaving,
            "model": model.name,
            "version": model.version,
            "provider": model.classifier.provider,
            "refused_version": service.refused_version,
        }
        return JSONResponse(content, status_code=503 if service.leaving else 200)

    async def model_metadata(self, request: Request) -> Response:
        """Tell the model's inputs and outputs."""
        check_key(request.headers, self._keys)
        return JSONResponse(tensors.model_metadata(self._model_asked_for(request)))

    async def model_ready(self, request: Request) -> Response:
        """Answer 200 if this model, and this version, is the one that answers."""
        model, leaving = self._model_asked_for(request), self._service.leaving
        content = {"name": model.name, "ready": not leaving}
        return JSONResponse(content, status_code=503 if leaving else 200)

    async def metrics(self, request: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        check_key(request.headers, self._keys)
        return Response(self._service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        """Return the OpenAPI document."""
        document = describe(version=VERSION, limits=self._service.limits, keys=bool(self._keys))
        return JSONResponse(document)

    async def home(self, request: Request) -> Response:
        """Return the page for people."""
        return HTMLResponse(self._page, headers=self._page_headers)

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Answer a refusal."""
        assert isinstance(error, RequestError)
        reason = error.reason if isinstance(error, Refusal) else "other"
        self._service.metrics.rejection(reason)
        note(request.scope, error=reason)
        headers = {}
        if error.status == 503:
            headers["Retry-After"] = str(RETRY_AFTER_S)
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse({"error": str(error)}, status_code=error.status, headers=headers)

    async def refuse_http(self, request: Request, error: Exception) -> Response:
        """Answer what Starlette refuses: 404 and 405."""
        assert isinstance(error, HTTPException)
        self._service.metrics.rejection("not_found" if error.status_code == 404 else "method")
        content = {"error": error.detail.lower()}
        return JSONResponse(content, status_code=error.status_code, headers=error.headers)

    async def client_left(self, request: Request, error: Exception) -> Response:
        """Note that nobody is there any more."""
        return Response(status_code=CLIENT_LEFT)

    async def fail(self, request: Request, error: Exception) -> Response:
        """Answer when the fault is ours; Starlette has it logged with its traceback."""
        return JSONResponse({"error": FAILED}, status_code=500)

    async def _classify(
        self, request: Request, images: Sequence[Prepare], *, wants_cam: bool
    ) -> list[Answer | BaseException]:
        note(request.scope, images=len(images))
        answers = await self._service.classify(
            images,
            wants_cam=wants_cam,
            connected=request.scope["state"].get("connected", lambda: True),
        )
        first = answers[0]
        if isinstance(first, Answer):
            note(request.scope, version=first.model.version, batch=first.batch_size)
        return answers

    def _check_count(self, files: list[FormFile]) -> None:
        limit = self._service.limits.images
        if not 1 <= len(files) <= limit:
            message = f"{len(files)} file fields in the form; expected 1 to {limit}"
            raise Refusal(400, "form", message)

    def _one_of_many(self, file: FormFile, answer: Answer | BaseException) -> dict[str, Any]:
        try:
            return {"name": file.name, **_shown(_checked(answer))}
        except Refusal as refusal:
            self._service.metrics.rejection(refusal.reason)
            return {"name": file.name, "error": str(refusal), "status": refusal.status}

    def _model_asked_for(self, request: Request) -> Model:
        model, asked = self._service.model, request.path_params
        if asked["name"] != model.name or asked.get("version", model.version) != model.version:
            raise Refusal(404, "not_found", "this server has no such model or version")
        return model


def _checked(answer: Answer | BaseException) -> Answer:
    """Return the answer, or raise the Refusal in its place; an error's words stay in the log."""
    if isinstance(answer, Answer):
        return answer
    if isinstance(answer, Refusal):
        raise answer
    if isinstance(answer, PipelineError):
        log.error("%s", answer)
    else:
        log.error("an image failed", exc_info=answer)
    raise Refusal(500, "model", FAILED) from answer


def _shown(answer: Answer) -> dict[str, Any]:
    """Return one image's answer as JSON."""
    model, probs = answer.model, answer.probs
    best = int(probs.argmax())
    content: dict[str, Any] = {
        "label": model.classes[best],
        # The shortest text that gives this float32 back: 0.1, not 0.10000000149011612.
        "probabilities": {n: float(str(p)) for n, p in zip(model.classes, probs, strict=True)},
        "unsure": model.threshold is not None and bool(probs[best] < model.threshold),
        "model": {"name": model.name, "version": model.version},
        "timing_ms": {
            "queue": round(answer.queue_s * 1000, 2),
            "decode": round(answer.decode_s * 1000, 2),
            "model": round(answer.model_s * 1000, 2),
        },
    }
    if answer.cam is not None:
        content["cam"] = [[float(f"{value:.4g}") for value in row] for row in answer.cam[best]]
    return content


def _cam_of(answer: Answer) -> np.ndarray[Any, np.dtype[np.float32]]:
    if answer.cam is None:
        raise Refusal(500, "model", FAILED)
    return answer.cam


def _ready_made(pixels: Pixels, asked: Model) -> Prepare:
    """Return what hands pixels that a client has made to the model it has asked, to no other.

    The images of a request may be divided among batches, and between two a new version takes over.
    """

    def prepare(model: Model) -> Pixels:
        if model is not asked:
            raise Refusal(503, "replaced", "the model has just been replaced; try again")
        return pixels

    return prepare


def _form_type(request: Request) -> str | None:
    """Return the content type of a form, None for a bare image.

    Other types are let through to the decoder: curl calls an image a form unless it is told.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return content_type
    if kind.startswith("multipart/") or kind == "application/json":
        message = f"{kind[:40]}: send the image itself, or multipart/form-data"
        raise Refusal(415, "content_type", message)
    return None


def _page_headers(page: str) -> dict[str, str]:
    """Allow the page its own script and style, by their hashes, and this server; nothing else."""

    def hashed(tag: str) -> str:
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    return {
        "Content-Security-Policy": f"default-src 'none'; script-src {hashed('script')}; "
        f"style-src {hashed('style')}; img-src blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
