"""Tar archives as listings: streamed once, in order, into one unnamed temporary file."""

import re
import sys
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from pipeline.core.errors import ArtifactError
from pipeline.core.progress import Progress
from pipeline.core.tars import StrictHeader
from pipeline.sources.decompression import STREAMS, Decompressed
from pipeline.sources.limits import CHUNK_BYTES, ArchiveLimits, Meter
from pipeline.sources.listing import Entry, Listing, described, parts_of, reading

MAX_HEADERS_BYTES = 1 << 20  # all of one member's; tarfile holds a map of holes of any length
MAX_GLOBAL_ATTRIBUTES = 100
MAX_READS_AT_END = 100


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, n_bytes: int, /) -> bytes: ...


@contextmanager
def open_tar(
    path: Path, name: str, limits: ArchiveLimits, *, spool_folder: Path
) -> Iterator[Listing]:
    """Yield the listing of a tar archive, plain or compressed with gzip, bzip2 or xz.

    Raises:
        DataError: the archive is damaged or beyond the limits.
        ArtifactError: `spool_folder` has no room for its content.
    """
    with _spool(spool_folder) as spool:
        found = _Found()
        with reading(name), path.open("rb") as packed:
            meters = [Meter(name, limits, packed_bytes=packed.tell) for _ in range(2)]
            _stream(_Plain(_decompressed(packed), meters[0]), spool, found, meters[1])

        def read(entry: Entry) -> bytes:
            offset, n_bytes = found.extents[entry.place]
            spool.seek(offset)
            return spool.read(n_bytes)

        yield Listing(name, found.entries, found.folders, read, found.skipped)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the stream held."""

    entries: list[Entry] = field(default_factory=list)
    folders: list[tuple[str, ...]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    extents: list[tuple[int, int]] = field(default_factory=list)
    """Offset and size of each entry in the spool."""


class _Plain:
    """The decompressed stream, counted, and never waited for at its end."""

    def __init__(self, file: Readable, meter: Meter) -> None:
        self._file, self._meter, self._reads_at_end = file, meter, 0
        self._position, self._stop = 0, 0

    def expect_header(self, *, at: int) -> None:
        """Allow what comes before `at`, and a header there, to be read; no more until told."""
        self._stop = at + MAX_HEADERS_BYTES

    def read(self, n_bytes: int) -> bytes:
        if self._position > self._stop:
            raise ValueError(f"a member whose headers take more than {MAX_HEADERS_BYTES} bytes")
        chunk = self._file.read(n_bytes)
        self._position += len(chunk)
        self._meter.add(len(chunk))
        self._reads_at_end = 0 if chunk else self._reads_at_end + 1
        if self._reads_at_end > MAX_READS_AT_END:  # tarfile retries some reads for ever
            raise EOFError("it ends in the middle of a member")
        return chunk


def _stream(stream: _Plain, spool: IO[bytes], found: _Found, meter: Meter) -> None:
    """Read the whole stream; `meter` counts members, whose holes the stream does not hold."""
    stream.expect_header(at=0)
    with (
        tarfile.open(
            fileobj=stream,  # type: ignore[call-overload]  # only read() is called in this mode
            mode="r|",
            bufsize=CHUNK_BYTES,
            tarinfo=StrictHeader,
        ) as tar,
        Progress("read archive", total=None, unit="files") as progress,
    ):
        while (member := tar.next()) is not None:
            tar.members.clear()  # tarfile keeps every header that it has seen
            if len(tar.pax_headers) > MAX_GLOBAL_ATTRIBUTES:  # copied into every member
                raise ValueError(f"more than {MAX_GLOBAL_ATTRIBUTES} attributes for all members")
            meter.count_member(member.name)
            stream.expect_header(at=tar.offset)  # behind this member's content
            _take(tar, member, spool, found, meter)
            progress.advance()
        stream.expect_header(at=sys.maxsize)
        while stream.read(CHUNK_BYTES):  # to the end, or the last checksum is never compared
            pass


def _take(
    tar: tarfile.TarFile, member: tarfile.TarInfo, spool: IO[bytes], found: _Found, meter: Meter
) -> None:
    size = member.pax_headers.get("size", "0")  # tarfile takes one that is no number for 0
    if not re.fullmatch("[0-9]{1,18}", size):
        raise ValueError(f"a member whose size is {size[:20]}")
    if member.isdir():
        found.folders.append(parts_of(member.name))
    elif not member.isreg():
        found.skipped["links" if member.issym() or member.islnk() else "special files"] += 1
    else:
        meter.check_member(member.name, member.size)
        file = tar.extractfile(member)
        content = meter.read(file, member.name) if file else b""
        place = len(found.extents)
        found.extents.append((_append(spool, content), len(content)))
        parts = parts_of(member.name) or ("_",)
        found.entries.append(Entry(member.name, parts, zlib.crc32(content), place))


@contextmanager
def _spool(folder: Path) -> Iterator[IO[bytes]]:
    """Yield a temporary file beside the target: /tmp may be a small part of the memory."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Unbuffered: a buffer that the disk had no room for would fail again in close().
        spool = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  (closed below)
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be written: {described(error)}") from error
    with spool:
        yield spool


def _append(spool: IO[bytes], content: bytes) -> int:
    """Write `content` whole; return where it begins."""
    offset, rest = spool.tell(), memoryview(content)
    try:
        while rest:
            rest = rest[spool.write(rest) :]
    except OSError as error:
        raise ArtifactError(
            f"temporary file beside data/raw.zip: cannot be written: {described(error)}"
        ) from error
    return offset


def _decompressed(packed: IO[bytes]) -> Readable:
    """Return the plain bytes of a file, by its first bytes."""
    start = packed.read(max(map(len, STREAMS)))
    packed.seek(0)
    for magic in STREAMS:
        if start.startswith(magic):
            return Decompressed(packed, magic)
    return packed
