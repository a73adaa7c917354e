"""Tar headers, read strictly: batch prediction and sources take no tar for more than it is."""

import tarfile
from typing import Self

HEADER_BYTES = 512
MAX_EXTENSION_BYTES = 1 << 16  # a long name or PAX record; tarfile would hold any size in memory
EXTENSION_TYPES = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class StrictHeader(tarfile.TarInfo):
    """A header that refuses what tarfile would end at silently, hang on, or hold in memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if len(buf) < HEADER_BYTES:
            raise EOFError("it is cut off: the end marker is missing")
        if not any(buf):  # the end marker, which tarfile knows
            return super().frombuf(buf, encoding, errors)
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise ValueError(f"damaged tar header ({error})") from error
        if header.size < 0:
            raise ValueError("a member of negative size")
        if header.type in EXTENSION_TYPES and header.size > MAX_EXTENSION_BYTES:
            raise ValueError(f"a name or attribute record of {header.size} bytes")
        return header
