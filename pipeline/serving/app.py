"""The HTTP interface: which request gets which answer.

POST /predict          an image as the body, or a form with one file -> label and probabilities
GET  /v2/health/live   200 while the process runs
GET  /v2/health/ready  200 while requests are welcome, 503 once the server is leaving
GET  /                 a page to try it out

Every refusal is `{"error": reason}`: 400 empty body or malformed form, 404 and 405, 408 slow body,
413 large body, 415 a content type that cannot be an image, 422 not a usable image, 503 with
Retry-After too much work, 504 too late. An error never carries a path of the server.
"""

import logging
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from pipeline.core.errors import RequestError
from pipeline.serving.bodies import Bodies
from pipeline.serving.service import Service

log = logging.getLogger(__name__)

CLIENT_LEFT = 499  # nginx's number for a client that hung up; it is logged, nobody receives it
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def create_app(service: Service) -> Starlette:
    """Return the ASGI application that answers with `service`."""
    bodies = Bodies(service.limits)
    page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")

    async def predict(request: Request) -> Response:
        form_type = _form_type(request)
        async with bodies.read(request) as body:
            probs = await service.classify(body, form_type=form_type)
        classes = service.classifier.spec.classes
        # The shortest text that gives this float32 back: 0.1, not 0.10000000149011612.
        shown = {name: float(str(p)) for name, p in zip(classes, probs, strict=True)}
        return JSONResponse({"label": classes[int(probs.argmax())], "probabilities": shown})

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        content = {"ready": not service.leaving, "provider": service.classifier.provider}
        return JSONResponse(content, status_code=503 if service.leaving else 200)

    async def home(request: Request) -> Response:
        return HTMLResponse(page, headers=SECURITY_HEADERS)

    return Starlette(
        routes=[
            Route("/predict", predict, methods=["POST"]),
            Route("/v2/health/live", live),
            Route("/v2/health/ready", ready),
            Route("/", home),
        ],
        exception_handlers={
            RequestError: _refuse,
            HTTPException: _refuse_http,
            ClientDisconnect: _client_left,
            Exception: _fail,
        },
    )


def _form_type(request: Request) -> str | None:
    """Return the content type of a form, None for a bare image.

    Other types are let through to the decoder: curl calls an image a form unless it is told.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestError(415, "send the image without a content encoding")
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return content_type
    if kind.startswith("multipart/") or kind == "application/json":
        raise RequestError(415, f"{kind}: send the image itself, or multipart/form-data")
    return None


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    headers = {"Retry-After": "1"} if error.status == 503 else None
    return JSONResponse({"error": str(error)}, status_code=error.status, headers=headers)


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    content = {"error": error.detail.lower()}
    return JSONResponse(content, status_code=error.status_code, headers=error.headers)


async def _client_left(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_LEFT)


async def _fail(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed; see its log"}, status_code=500)
