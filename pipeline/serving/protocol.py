"""Deadlines and limits for what happens below HTTP, where uvicorn has none (Kludex/uvicorn#157)."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pipeline.serving.limits import Limits

LAST_CALL_S = 2.0
"""What a connection without a request has to send one in, once the server leaves."""
CROWD = 1.2
"""How far beyond the limit connections are still told that there are too many."""


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with a deadline for the headers, for the body, and for the answer.

    A client that sends a byte now and then keeps none of them from passing.
    """

    limits = Limits()
    max_connections = limits.connections
    """Both set by a subclass: uvicorn makes the instances."""

    _deadline: asyncio.TimerHandle | None = None
    _phase: object = None
    _running: RequestResponseCycle | None = None
    _overhead_bytes = 0
    """Received since the last whole headers or piece of a body: of headers, trailers, chunk sizes.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first request's headers."""
        super().connection_made(transport)
        if len(self.connections) > CROWD * self.max_connections:
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Hand on, then look whether that led to anything, and which deadline now applies."""
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self._overhead_bytes > self.limits.header_bytes:  # llhttp knows no limit
            self.transport.abort()
        self._watch()

    def on_headers_complete(self) -> None:
        """Hand on; whoever works for the request can ask whether its client is still there."""
        super().on_headers_complete()
        self._overhead_bytes = 0
        self.scope["state"]["connected"] = self._connected

    def on_body(self, body: bytes) -> None:
        """Hand on; how long a body may be is for the application to say, while it listens."""
        super().on_body(body)
        self._end_overhead()

    def on_message_complete(self) -> None:
        """Hand on; whatever comes now belongs to the next request."""
        super().on_message_complete()
        self._end_overhead()

    def on_response_complete(self) -> None:
        """Hand on, then look which deadline now applies."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._set_deadline(None)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Let a request that is on its way still arrive, where uvicorn would hang up."""
        if self._in_headers():
            self._set_deadline(LAST_CALL_S)
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _connected(self) -> bool:
        """Tell whether an answer can still be written; if not, uvicorn must not try.

        Of several pipelined requests uvicorn tells only the last that its client has left, and
        uvloop raises where a closed connection is written to.
        """
        if self.transport.is_closing() and self._running is not None:
            self._running.disconnected = True
        return not self.transport.is_closing()

    def _in_headers(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _end_overhead(self) -> None:
        if not self._in_headers():  # else it is the rest of a body that nobody reads any more
            self._overhead_bytes = 0

    def _watch(self) -> None:
        phase: object
        seconds: float | None
        if self._in_headers() and self.cycle is not None and self._overhead_bytes == 0:
            phase, seconds = "idle", None  # uvicorn's own timeout for keeping connections alive
        elif self._in_headers():
            phase, seconds = ("headers", self.cycle), self.limits.header_s
        elif self.cycle.more_body:
            phase, seconds = ("body", self.cycle), self.limits.body_s + self.limits.spare_s
        else:
            phase, seconds = ("answer", self.cycle), self.limits.answer_s + self.limits.spare_s
        if phase != self._phase:
            self._phase = phase
            self._set_deadline(seconds)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self.transport.abort)
