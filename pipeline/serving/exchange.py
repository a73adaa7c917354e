"""Around every request: an id, one log line, and answers that reach clients still sending."""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.metrics import Metrics
from pipeline.serving.refusal import RETRY_AFTER_S

access_log = logging.getLogger("pipeline.serving.access")

CLOSE = (b"connection", b"close")
NO_SNIFFING = (b"x-content-type-options", b"nosniff")
ID_HEADER = b"x-request-id"
ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
"""What a client may call its request; anything else gets an id of ours."""
MAX_PATH = 200


class Exchanges:
    """The outermost ASGI layer.

    Args:
        app: what answers.
        metrics: counts every request.
        linger_s: how long the rest of an unread body is read and thrown away after an answer.
            Closing at once would reset the connection, and the client might never see the answer.
        leaving: tells whether the server is stopping; answers then close their connection.
        crowded: tells whether too many connections are open; requests are then turned away.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        linger_s: float,
        leaving: Callable[[], bool],
        crowded: Callable[[], bool],
    ) -> None:
        self._app, self._metrics, self._linger_s = app, metrics, linger_s
        self._leaving, self._crowded = leaving, crowded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, then count and log it."""
        start = time.perf_counter()
        exchange = _Exchange(scope, receive, send, linger_s=self._linger_s, leaving=self._leaving)
        try:
            if self._crowded():
                self._metrics.rejection("connections")
                await _turn_away("too many connections", scope, exchange.receive, exchange.send)
            else:
                await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:  # only when the server leaves and its patience has ended
            exchange.status = 503
            self._metrics.rejection("leaving")
            await _turn_away("the server is leaving", scope, receive, send)
        finally:
            seconds = time.perf_counter() - start
            self._metrics.request(_endpoint(scope), exchange.status, seconds)
            access_log.info("%s", LogLine(scope, exchange, seconds))


class LogLine:
    """One line of the access log, JSON; the query is left out, it may hold secrets."""

    def __init__(self, scope: Scope, exchange: "_Exchange", seconds: float) -> None:
        self._scope, self._exchange, self._seconds = scope, exchange, seconds

    def __str__(self) -> str:
        """Return the JSON."""
        scope, exchange = self._scope, self._exchange
        fields = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": exchange.id.decode(),
            "client": (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "path": scope["raw_path"].decode("ascii", "replace")[:MAX_PATH],
            "status": exchange.status,
            "ms": round(self._seconds * 1000, 1),
            "bytes_in": exchange.bytes_in,
            **scope.get("state", {}).get("log", {}),
        }
        return json.dumps(fields)


def note(scope: Scope, **facts: Any) -> None:
    """Add facts to the request's line in the access log."""
    scope.setdefault("state", {}).setdefault("log", {}).update(facts)


def _endpoint(scope: Scope) -> str:
    """Return the name of the function that answered: few, whatever clients ask for."""
    endpoint = scope.get("endpoint")
    return getattr(endpoint, "__name__", "other")


async def _turn_away(why: str, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Retry-After": str(RETRY_AFTER_S), "Connection": "close"}
    content = {"error": f"{why}; try again"}
    await JSONResponse(content, status_code=503, headers=headers)(scope, receive, send)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        linger_s: float,
        leaving: Callable[[], bool],
    ) -> None:
        self._receive, self._send = receive, send
        self._linger_s, self._leaving = linger_s, leaving
        self._body_read = True
        self._connected = scope.get("state", {}).get("connected", lambda: True)
        self.status = 0
        self.bytes_in = 0
        self.id = b""
        for name, value in scope["headers"]:
            if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                self._body_read = False
            elif name == ID_HEADER and ID.fullmatch(value):
                self.id = value
        self.id = self.id or secrets.token_hex(8).encode()

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        self._body_read = not message.get("more_body", False)  # so for http.disconnect
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], NO_SNIFFING, (ID_HEADER, self.id)]
            if self._leaving() or not self._body_read:
                headers.append(CLOSE)
            message = {**message, "headers": headers}
        elif not message.get("more_body", False) and not self._body_read:
            if self._connected():
                await self._send({**message, "more_body": True})
            await self._discard_body()
            message = {"type": "http.response.body"}
        if self._connected():
            await self._send(message)

    async def _discard_body(self) -> None:
        try:
            async with asyncio.timeout(self._linger_s):
                while not self._body_read:
                    await self.receive()
        except TimeoutError:
            pass
