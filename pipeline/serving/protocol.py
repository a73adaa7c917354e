"""Deadlines for what happens below HTTP, where uvicorn has none (Kludex/uvicorn#157)."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.serving.limits import Limits

LAST_CALL_S = 0.5


class DeadlineProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with two deadlines: for the headers of a request, and for all of it.

    A client that sends a byte now and then keeps neither from passing.
    """

    limits = Limits()
    """Set by a subclass: uvicorn makes the instances."""

    _deadline: asyncio.TimerHandle | None = None
    _phase: tuple[bool, object] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of the first request's headers."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Hand on, then look which deadline now applies."""
        super().data_received(data)
        self._watch()

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
        if self.conn.their_state is h11.IDLE:
            self._set_deadline(LAST_CALL_S)
        else:
            super().shutdown()

    def _watch(self) -> None:
        in_headers = self.conn.their_state is h11.IDLE
        phase = (in_headers, self.cycle)  # a new request has a new cycle
        if phase != self._phase:
            self._phase = phase
            self._set_deadline(self.limits.header_s if in_headers else self.limits.request_s)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self.transport.abort)
