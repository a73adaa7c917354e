"""The plain bytes of a gzip, bzip2 or xz file, in little memory and checked to the end.

Not the file classes of gzip, bz2 and lzma: they give no bound on xz's dictionary, which a hostile
file sets to 4 GiB, and disagree on what may follow the last stream.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Protocol

CHUNK_BYTES = 1 << 16
MAX_XZ_BYTES = 128 << 20  # `xz -9` needs 65 MiB


class _Stream(Protocol):
    """One compressed stream, as bz2 and lzma have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """A gzip stream with the interface of the other two."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)  # with header and checksum

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _xz() -> _Stream:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_BYTES)


STREAMS: dict[bytes, Callable[[], _Stream]] = {
    b"\x1f\x8b": _Gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": _xz,
}
"""What opens a stream, by its first bytes."""


class Decompressed:
    """Reader of the plain bytes of a compressed file.

    Streams that follow each other are one; what follows the last and is none is left alone, as the
    command-line tools do.

    Args:
        packed: the file, at its start.
        magic: the first bytes of its kind, one of `STREAMS`.
    """

    def __init__(self, packed: IO[bytes], magic: bytes) -> None:
        self._packed, self._magic = packed, magic
        self._stream = STREAMS[magic]()

    def read(self, n_bytes: int) -> bytes:
        """Return at most `n_bytes`, and nothing only at the end.

        Raises:
            EOFError: the file ends in the middle of a stream.
            OSError, ValueError, zlib.error, lzma.LZMAError: the file is damaged.
        """
        data = b""
        while not self._stream.eof or (data := self._next_stream()):
            if self._stream.needs_input and not data:
                data = self._packed.read(CHUNK_BYTES)
                at_end = not data
            else:
                at_end = False
            chunk = self._stream.decompress(data, n_bytes)
            data = b""
            if chunk:
                return chunk
            if at_end and not self._stream.eof:
                raise EOFError("it is cut off in the middle of its compressed data")
        return b""

    def _next_stream(self) -> bytes:
        """Begin a stream that follows the finished one; return its first bytes, or nothing."""
        rest = self._stream.unused_data
        rest += self._packed.read(CHUNK_BYTES) if len(rest) < len(self._magic) else b""
        if not rest.startswith(self._magic):
            return b""
        self._stream = STREAMS[self._magic]()
        return rest
