"""Request bodies, read within the limits of size, time and memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from pipeline.core.errors import RequestError
from pipeline.serving.limits import Limits


class Bodies:
    """Reads bodies and knows how many bytes of them are in memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffered_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the whole body; its bytes count as in memory until the block ends.

        Raises:
            RequestError: 413 too large, announced or found; 408 too slow; 503 memory is short.
        """
        body = bytearray()
        try:
            await self._fill(body, request)
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
            raise RequestError(408, f"the body took over {self._limits.body_s:g} s") from error

    def _check_size(self, size_bytes: int) -> None:
        limit = self._limits.body_bytes
        if size_bytes > limit:
            raise RequestError(413, f"the body is over the limit of {limit} bytes")

    def _check_memory(self) -> None:
        if self._buffered_bytes > self._limits.buffered_bytes:
            raise RequestError(503, "too many bytes are being received; try again")
