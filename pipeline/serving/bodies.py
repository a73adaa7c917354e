"""Request bodies, read within the limits of size, time and memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from pipeline.serving.limits import Limits
from pipeline.serving.metrics import Metrics
from pipeline.serving.refusal import Refusal


class Bodies:
    """Reads bodies and knows how many bytes of them are in memory."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._buffered_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the whole body; its bytes count as in memory until the block ends.

        Raises:
            Refusal: 413 too large, announced or found; 415 compressed; 408 too slow; 503 memory is
                short.
        """
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refusal(415, "content_type", "send the body without a content encoding")
        body = bytearray()
        start = time.perf_counter()
        try:
            await self._fill(body, request)
            self._metrics.body(time.perf_counter() - start)
            yield bytes(body)
        finally:
            self._buffered_bytes -= len(body)

    async def _fill(self, body: bytearray, request: Request) -> None:
        self._check_size(int(request.headers.get("content-length", 0)))
        try:
            async with asyncio.timeout(self._limits.body_s):
                async for chunk in request.stream():
                    body += chunk
                    self._buffered_bytes += len(chunk)
                    self._check_size(len(body))
                    self._check_memory()
        except TimeoutError as error:
            message = f"the body took over {self._limits.body_s:g} s"
            raise Refusal(408, "slow_body", message) from error

    def _check_size(self, size_bytes: int) -> None:
        limit = self._limits.body_bytes
        if size_bytes > limit:
            raise Refusal(413, "large_body", f"the body is over the limit of {limit} bytes")

    def _check_memory(self) -> None:
        if self._buffered_bytes > self._limits.buffered_bytes:
            raise Refusal(503, "memory", "too many bytes are being received; try again")
