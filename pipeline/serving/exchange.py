"""Around every request: one log line, and answers that reach clients who are still sending."""

import asyncio
import logging
import time
from collections.abc import Callable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

CLOSE = (b"connection", b"close")
NO_SNIFFING = (b"x-content-type-options", b"nosniff")


class Exchanges:
    """The outermost ASGI layer.

    Args:
        app: what answers.
        linger_s: how long the rest of an unread body is read and thrown away after an answer.
            Closing at once would reset the connection, and the client might never see the answer.
        leaving: tells whether the server is stopping; answers then close their connection.
    """

    def __init__(self, app: ASGIApp, *, linger_s: float, leaving: Callable[[], bool]) -> None:
        self._app, self._linger_s, self._leaving = app, linger_s, leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, then log method, path, status and milliseconds."""
        start = time.perf_counter()
        exchange = _Exchange(
            receive,
            send,
            has_body=any(_announces_body(*header) for header in scope["headers"]),
            linger_s=self._linger_s,
            leaving=self._leaving,
        )
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:  # only when the server leaves and its patience has ended
            exchange.status = 503
            headers = {"Retry-After": "1", "Connection": "close"}
            content = {"error": "the server is leaving; try again"}
            await JSONResponse(content, status_code=503, headers=headers)(scope, receive, send)
        finally:
            elapsed_ms = (time.perf_counter() - start) * 1000
            path = scope["raw_path"].decode("ascii", "replace")[:200]  # without the query
            log.info("%s %s %d %.1f ms", scope["method"], path, exchange.status, elapsed_ms)


def _announces_body(name: bytes, value: bytes) -> bool:
    return name == b"transfer-encoding" or (name == b"content-length" and value != b"0")


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        has_body: bool,
        linger_s: float,
        leaving: Callable[[], bool],
    ) -> None:
        self._receive, self._send = receive, send
        self._linger_s, self._leaving = linger_s, leaving
        self._body_read = not has_body
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._body_read = not message.get("more_body", False)  # so for http.disconnect
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            closing = [CLOSE] if self._leaving() or not self._body_read else []
            message = {**message, "headers": [*message["headers"], NO_SNIFFING, *closing]}
        elif not message.get("more_body", False) and not self._body_read:
            await self._send({**message, "more_body": True})
            await self._discard_body()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _discard_body(self) -> None:
        try:
            async with asyncio.timeout(self._linger_s):
                while not self._body_read:
                    await self.receive()
        except TimeoutError:
            pass
