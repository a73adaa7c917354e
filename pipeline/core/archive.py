"""data/raw.zip: the original bytes of every image under a safe name, in one uncompressed file.

Names are `class/name.ext`, sorted, or `class/name-mark.ext` where several files would share one: no
name depends on how many share it, since people write names into tables. Dates are fixed, so equal
input gives equal bytes. Each member's comment is the name it had in the user's archive or folder.
"""

import hashlib
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.core.atomic import replacing
from pipeline.core.errors import ArtifactError

FIXED_DATE = (1980, 1, 1, 0, 0, 0)
JOINT = "//"
"""In `source`, between one of several joined sources and the name of a file in it."""

_MARK = re.compile(r"-[0-9a-f]{10}(?=(\.[^./]*)?$)")


def marked_path(stem: str, suffix: str, identity: str) -> str:
    """Return the path of a file whose name others have too: `cat/1-0123456789.jpg`.

    Args:
        stem: class folder and name without its suffix.
        suffix: with its dot, or nothing.
        identity: what tells the file from the others; the path depends on nothing else.
    """
    digest = hashlib.sha256(identity.encode(errors="backslashreplace")).hexdigest()
    return f"{stem}-{digest[:10]}{suffix}"


def unmarked_path(path: str) -> str:
    """Return what the path would be if no other file had that name."""
    return _MARK.sub("", path)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member's bytes lie: enough to read them without the index of the archive."""

    path: str
    offset: int
    """Of its local header, in the file."""
    size_bytes: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Member:
    """One image of the archive, without its bytes."""

    path: str
    source: str
    size_bytes: int
    offset: int = 0
    crc32: int = 0

    @property
    def place(self) -> Place:
        """Where its bytes lie."""
        return Place(self.path, self.offset, self.size_bytes, self.crc32)

    @property
    def label(self) -> str:
        """The class folder."""
        return self.path.partition("/")[0]


def write_archive(path: Path, members: Iterable[tuple[str, str, bytes]]) -> int:
    """Write (path, source, content) members in the order given; return their number.

    Raises:
        ArtifactError: a path is not `class/name`, out of order or repeated, or the disk is full.
    """
    count, last = 0, ""
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, source, content in members:
            if name <= last or name.count("/") != 1:
                raise ArtifactError(f"{path}: {name!r} after {last!r}; expected sorted class/name")
            info = zipfile.ZipInfo(name, FIXED_DATE)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.create_system = 3  # Unix, on every platform: equal input gives equal bytes
            info.comment = source.encode("utf-8", "surrogateescape")[:65535]
            archive.writestr(info, content)
            count, last = count + 1, name
    return count


class RawArchive:
    """Reader of data/raw.zip; use as a context manager, one per process.

    Raises:
        ArtifactError: the file is missing or is not the archive that download wrote.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise ArtifactError(f"{path}: not found; run: dvc repro download") from error
        except (OSError, zipfile.BadZipFile) as error:
            raise ArtifactError(f"{path}: {error}; run: dvc repro download") from error
        self.members = tuple(
            # Names that are not UTF-8 become readable text here: they go into CSV files.
            Member(
                i.filename,
                i.comment.decode("utf-8", "backslashreplace"),
                i.file_size,
                i.header_offset,
                i.CRC,
            )
            for i in self._zip.infolist()
        )
        packed = (i for i in self._zip.infolist() if i.compress_type != zipfile.ZIP_STORED)
        if info := next(packed, None):
            raise ArtifactError(f"{path}: {info.filename}: compressed; run: dvc repro download")

    def read(self, path: str) -> bytes:
        """Return one member's bytes, checked against its CRC."""
        try:
            return self._zip.read(path)
        except (KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ArtifactError(
                f"{self._path}: {path}: {error}; run: dvc repro download"
            ) from error

    def place(self, path: str) -> Place:
        """Return where a member lies."""
        try:
            info = self._zip.getinfo(path)
        except KeyError as error:
            raise ArtifactError(
                f"{self._path}: {path}: not in the archive; run: dvc repro split"
            ) from error
        return Place(path, info.header_offset, info.file_size, info.CRC)

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_members(path: Path) -> tuple[Member, ...]:
    """Return the members of data/raw.zip, and keep nothing else of its index.

    Raises:
        ArtifactError: the file is missing or is not the archive that download wrote.
    """
    with RawArchive(path) as archive:
        return archive.members


_LOCAL_HEADER = struct.Struct("<26xHH")  # sizes of the name and the extra field, which follow it


def read_place(archive_path: Path, place: Place) -> bytes:
    """Return the bytes at `place`, checked against their CRC.

    It opens the file each time and keeps nothing: a process of 20,000 reads needs no index.

    Raises:
        ArtifactError: the archive cannot be read, ends too early or is damaged.
    """
    try:
        descriptor = os.open(archive_path, os.O_RDONLY)
        try:
            header = os.pread(descriptor, _LOCAL_HEADER.size, place.offset)
            start = place.offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(header))
            content = os.pread(descriptor, place.size_bytes, start)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise ArtifactError(f"{archive_path}: not found; run: dvc repro download") from error
    except (OSError, struct.error) as error:
        raise ArtifactError(
            f"{archive_path}: {place.path}: {error}; run: dvc repro download"
        ) from error
    if len(content) != place.size_bytes:
        raise ArtifactError(f"{archive_path}: {place.path}: cut short; run: dvc repro download")
    if zlib.crc32(content) != place.crc32:
        raise ArtifactError(f"{archive_path}: {place.path}: damaged; run: dvc repro download")
    return content
