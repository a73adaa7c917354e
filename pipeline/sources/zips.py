"""Zip archives as listings, read member by member and never extracted."""

import io
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import DataError
from pipeline.sources.limits import CHUNK_BYTES, ArchiveLimits, Meter, shown
from pipeline.sources.listing import Entry, Listing, parts_of, reading

ENCRYPTED_FLAG = 0x1
UTF8_FLAG = 0x800
# zipfile decompresses these methods without an upper bound on the output of one step: 4 KiB of
# bzip2 can be 80 MB, 64 KiB would be 1.3 GB.
UNBOUNDED_METHODS = (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
UNBOUNDED_CHUNK_BYTES = 1 << 12

ENTRY = struct.Struct("<28x3H12x")
"""An entry of the central directory: lengths of name, extra field and comment, which follow."""
MAX_ENTRY_BYTES = 512  # on average, over as many entries as there may be
MAX_EXTRA_BYTES = 4096  # zipfile takes the square of its length in time
MAX_END_BYTES = 1 << 17  # more than any record at the end, with a comment


class _CheckedFile(io.BufferedReader):
    """A file whose central directory is checked before zipfile makes an object of each entry.

    zipfile reads that directory in one piece, and nothing else as large while it opens an archive.
    It believes neither the number of entries that the archive states, nor do we: both can lie.
    """

    def __init__(self, path: Path, name: str, limits: ArchiveLimits) -> None:
        with reading(name):
            super().__init__(io.FileIO(path))
        self._name, self._limits = name, limits
        self.directory_read = False

    def read(self, size: int | None = -1, /) -> bytes:
        if self.directory_read or size is None or size <= MAX_END_BYTES:
            return super().read(size)
        if size > MAX_ENTRY_BYTES * self._limits.members:
            raise self._refused()
        directory = super().read(size)
        self._check(directory)
        return directory

    def _check(self, directory: bytes) -> None:
        at = n_entries = 0
        while at + ENTRY.size <= len(directory):
            name_bytes, extra_bytes, comment_bytes = ENTRY.unpack_from(directory, at)
            at += ENTRY.size + name_bytes + extra_bytes + comment_bytes
            n_entries += 1
            if n_entries > self._limits.members:
                raise self._refused()
            if extra_bytes > MAX_EXTRA_BYTES:
                raise DataError(f"{self._name}: refused: an extra field of {extra_bytes} bytes")

    def _refused(self) -> DataError:
        return DataError(
            f"{self._name}: refused: more than {self._limits.members} entries, or their names and "
            "comments are too long; if it is meant, raise data.max_members"
        )


@contextmanager
def open_zip(path: Path, name: str, limits: ArchiveLimits) -> Iterator[Listing]:
    """Yield the listing of a zip archive.

    Raises:
        DataError: the archive is damaged, encrypted, of an unknown method or beyond the limits.
    """
    with _CheckedFile(path, name, limits) as file:
        with reading(name):
            archive = zipfile.ZipFile(file)
        file.directory_read = True
        infos = archive.infolist()
        packed_bytes = min(sum(info.compress_size for info in infos), path.stat().st_size)
        _check(infos, name, Meter(name, limits, packed_bytes=lambda: packed_bytes))
        meter = Meter(name, limits, packed_bytes=lambda: packed_bytes)
        names = [_name(info) for info in infos]
        kinds = [_kind(info) for info in infos]

        def read(entry: Entry) -> bytes:
            info = infos[entry.place]
            unbounded = info.compress_type in UNBOUNDED_METHODS
            chunk_bytes = UNBOUNDED_CHUNK_BYTES if unbounded else CHUNK_BYTES
            with reading(f"{name}: {shown(entry.source)}"), archive.open(info) as file:
                return meter.read(file, entry.source, chunk_bytes=chunk_bytes)

        yield Listing(
            name,
            entries=[
                Entry(names[i], _parts(names[i]) or ("_",), infos[i].CRC, i)
                for i, kind in enumerate(kinds)
                if kind == "file"
            ],
            folders=[_parts(names[i]) for i, kind in enumerate(kinds) if kind == "folder"],
            read=read,
            skipped=Counter(kind for kind in kinds if kind not in ("file", "folder")),
        )


def _check(infos: list[zipfile.ZipInfo], name: str, claimed: Meter) -> None:
    """Refuse by the headers what would be refused while reading, before anything is read."""
    for info in infos:
        claimed.count_member(info.filename)
        claimed.check_member(info.filename, info.file_size)
        claimed.add(info.file_size)
        if info.flag_bits & ENCRYPTED_FLAG:
            raise DataError(
                f"{name}: {shown(info.filename)}: encrypted with a password; "
                "give an archive without one"
            )


def _parts(name: str) -> tuple[str, ...]:
    return parts_of(name.replace("\\", "/"))  # what old Windows programs write


def _name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; without the UTF-8 flag, bytes that are UTF-8 are read as UTF-8."""
    if info.flag_bits & UTF8_FLAG:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _kind(info: zipfile.ZipInfo) -> str:
    """Tell what a member is; the upper half of its attributes is a Unix mode, or zero."""
    mode = stat.S_IFMT(info.external_attr >> 16)
    if info.filename.endswith(("/", "\\")) or mode == stat.S_IFDIR:
        return "folder"
    if mode in (0, stat.S_IFREG):
        return "file"
    return "links" if mode == stat.S_IFLNK else "special files"
