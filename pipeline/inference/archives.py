"""Zip and tar archives read as streams: an archive of any size takes the same memory.

The members of a zip archive are named by its directory, entry by entry, and read by zipfile, which
by itself would hold an object for each. A tar archive is read once from end to end.
"""

import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from pipeline.core.errors import DataError, ImageError
from pipeline.core.tars import StrictHeader
from pipeline.imaging.decode import MAX_BYTES

ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06")
ENCRYPTED_FLAG, UTF8_FLAG = 0x1, 0x800  # APPNOTE.TXT 4.4.4
NO_MEMBERS = b"PK\x05\x06" + bytes(18)
END = struct.Struct("<4s4H2LH")  # 4.3.16
END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
LOCATOR64 = struct.Struct("<4sLQL")  # 4.3.15
ENTRY = struct.Struct("<4s6H3L5H2L")  # 4.3.12
ENTRY_SIGNATURE = b"PK\x01\x02"
LARGEST_COMMENT = 65535
IN_EXTRA = 0xFFFFFFFF
"""Stands for a number of 64 bits in the extra field, 4.5.3."""

TAR_COMPRESSIONS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


@dataclass(frozen=True, slots=True)
class ZipMember:
    """An entry of the directory: what is needed to read the member without the directory."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int
    """Of its local header, in the file."""

    @property
    def name(self) -> str:
        """Its name; without the UTF-8 flag, bytes that are UTF-8 are read as UTF-8."""
        if self.flags & UTF8_FLAG:
            return self.raw_name.decode("utf-8", "surrogateescape")
        try:
            return self.raw_name.decode("utf-8")
        except UnicodeDecodeError:
            return self.raw_name.decode("cp437")


@dataclass(frozen=True, slots=True)
class TarMember:
    """A regular file of a tar archive; `content` is None where it is larger than the gate takes."""

    name: str
    size_bytes: int
    content: bytes | None


def zip_members(path: str) -> Iterator[ZipMember]:
    """Yield the files of a zip archive in the order of its directory.

    Raises:
        DataError: it is not a readable zip archive, or it is encrypted.
    """
    with _reading(path, "zip archive"), open(path, "rb") as file:  # noqa: PTH123  (odd names)
        start, n_bytes, shift = _directory(file)
        file.seek(start)
        while file.tell() < start + n_bytes:
            member = _entry(file, shift)
            if member.flags & ENCRYPTED_FLAG:
                raise DataError(
                    f"{path}: the archive is encrypted; unpack it with its password first"
                )
            if not member.raw_name.endswith((b"/", b"\\")):
                yield member


def read_zip_member(path: str, member: ZipMember) -> bytes:
    """Return a member's bytes, checked against its CRC.

    Raises:
        ImageError: it is larger than the gate takes.
        DataError: it cannot be read.
    """
    if member.size_bytes > MAX_BYTES:
        raise ImageError("too_large", f"{member.size_bytes} bytes, limit {MAX_BYTES}")
    try:
        # An archive without members: it reads an entry that it is given, from where `fp` says.
        with zipfile.ZipFile(io.BytesIO(NO_MEMBERS)) as archive, open(path, "rb") as file:  # noqa: PTH123
            archive.fp = file
            with archive.open(_zip_info(member)) as opened:
                return opened.read(MAX_BYTES + 1)
    except Exception as error:  # on damaged bytes zipfile raises many types
        raise DataError(f"cannot be read from the archive: {error}") from error


def is_tar(start: bytes) -> bool:
    """Tell from a file's first 512 bytes whether it may be a tar archive."""
    if start.startswith(TAR_COMPRESSIONS):
        return True
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def tar_members(path: str) -> Iterator[TarMember]:
    """Yield the regular files of a tar archive, plain or compressed, in order.

    Raises:
        DataError: it is damaged or cut off; what came before has been yielded.
    """
    with (
        _reading(path, "tar archive"),
        tarfile.open(path, "r|*", tarinfo=StrictHeader) as archive,
    ):
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every header
            if not member.isreg():
                continue
            content = None
            if member.size <= MAX_BYTES:
                file = archive.extractfile(member)
                content = file.read() if file else b""
                if len(content) != member.size:
                    raise EOFError("it ends in the middle of a member")
            yield TarMember(member.name, member.size, content)


@contextmanager
def _reading(path: str, kind: str) -> Iterator[None]:
    try:
        yield
    except (DataError, GeneratorExit):
        raise
    except OSError as error:
        raise DataError(f"{path}: not a readable {kind}: {error.strerror or error}") from error
    except Exception as error:  # on damaged bytes the libraries raise many types
        raise DataError(f"{path}: not a readable {kind}: {error}") from error


def _directory(file: IO[bytes]) -> tuple[int, int, int]:
    """Return where the directory begins, its size, and by how much all offsets are too small."""
    size = file.seek(0, io.SEEK_END)
    base = max(0, size - END.size - LARGEST_COMMENT - END64.size - LOCATOR64.size)
    file.seek(base)
    tail = file.read()
    at = tail.rfind(NO_MEMBERS[:4])
    if at < 0 or at + END.size > len(tail):
        raise zipfile.BadZipFile("its directory is missing: cut off, or not a zip archive")
    _, disk, _, _, _, n_bytes, offset, _ = END.unpack_from(tail, at)
    end = base + at
    locator = tail[max(0, at - LOCATOR64.size) : at]
    if locator.startswith(b"PK\x06\x07"):
        end64 = end - LOCATOR64.size - END64.size
        file.seek(end64)
        fields = END64.unpack(file.read(END64.size))
        if fields[0] == b"PK\x06\x06":
            end, disk, n_bytes, offset = end64, fields[4], fields[8], fields[9]
    start = end - n_bytes
    if disk or start < offset:
        raise zipfile.BadZipFile("a part of a divided archive, or its directory is damaged")
    return start, n_bytes, start - offset  # something before the archive shifts all offsets


def _entry(file: IO[bytes], shift: int) -> ZipMember:
    header = file.read(ENTRY.size)
    if len(header) < ENTRY.size or not header.startswith(ENTRY_SIGNATURE):
        raise zipfile.BadZipFile("its directory is damaged")
    _, _, _, flags, method, _, _, crc, packed, size, *lengths, _, _, _, offset = ENTRY.unpack(
        header
    )
    name, extra, _ = (file.read(n_bytes) for n_bytes in lengths)
    size, packed, offset = _large((size, packed, offset), extra)
    return ZipMember(name, flags, method, crc, packed, size, offset + shift)


def _large(numbers: tuple[int, int, int], extra: bytes) -> list[int]:
    """Replace the numbers that did not fit into 32 bits by those of the extra field."""
    wide: list[int] = []
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            wide = [n for (n,) in struct.iter_unpack("<Q", extra[4 : 4 + length // 8 * 8])]
        extra = extra[4 + length :]
    return [wide.pop(0) if n == IN_EXTRA and wide else n for n in numbers]


def _zip_info(member: ZipMember) -> zipfile.ZipInfo:
    text = member.raw_name.decode("utf-8" if member.flags & UTF8_FLAG else "cp437")
    info = zipfile.ZipInfo(text)
    info.orig_filename = text  # what zipfile compares with the local header
    info.header_offset, info.flag_bits = member.offset, member.flags
    info.compress_type, info.CRC = member.method, member.crc
    info.compress_size, info.file_size = member.packed_bytes, member.size_bytes
    return info
