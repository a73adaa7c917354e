"""Open any local source: what a file is, is told by its content, never by its name."""

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pipeline.core.tars import HEADER_BYTES
from pipeline.sources.decompression import STREAMS
from pipeline.sources.folders import open_folder
from pipeline.sources.limits import LIMITS, ArchiveLimits
from pipeline.sources.listing import Listing, UnreadableError, reading
from pipeline.sources.tars import open_tar
from pipeline.sources.zips import open_zip

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06")
OTHER_KINDS = {
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"PK\x07\x08": "a part of a divided zip archive",
    b"(\xb5/\xfd": "a Zstandard archive",
    b"\xff\xd8\xff": "an image",
    b"\x89PNG": "an image",
}


def open_source(
    path: Path, name: str, *, spool_folder: Path, limits: ArchiveLimits = LIMITS
) -> AbstractContextManager[Listing]:
    """Return a context manager that yields the listing of a folder, zip or tar archive.

    Args:
        path: the folder or archive.
        name: what messages call it.
        spool_folder: where the content of a tar archive is held until the listing is closed.
        limits: how large the source may be.

    Raises:
        DataError: it is none of these, damaged, or beyond the limits.
    """
    if path.is_dir():
        return open_folder(path, name, limits)
    return _open_archive(path, name, limits, spool_folder=spool_folder)


@contextmanager
def _open_archive(
    path: Path, name: str, limits: ArchiveLimits, *, spool_folder: Path
) -> Iterator[Listing]:
    with reading(name), path.open("rb") as file:
        start = file.read(HEADER_BYTES)
        # A zip archive may follow a program that unpacks it; a tar archive may end with a zip.
        is_tar = start.startswith(tuple(STREAMS)) or _is_tar_header(start)
        is_zip = start.startswith(ZIP_MAGIC) or (not is_tar and zipfile.is_zipfile(file))
    if is_zip:
        with open_zip(path, name, limits) as listing:
            yield listing
    elif is_tar:
        with open_tar(path, name, limits, spool_folder=spool_folder) as listing:
            yield listing
    else:
        raise UnreadableError(
            f"{name}: {_kind(start)}; expected a folder, a zip archive, "
            "or a tar archive (plain, gzip, bzip2 or xz)"
        )


def _is_tar_header(start: bytes) -> bool:
    if len(start) == HEADER_BYTES and not any(start):
        return True  # an empty archive
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _kind(start: bytes) -> str:
    """Say what a file that is no archive is, as far as its first bytes tell."""
    if not start:
        return "the file is empty"
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return "not an archive but a web page, such as a login or error page"
    kinds = (kind for magic, kind in OTHER_KINDS.items() if start.startswith(magic))
    return f"not an archive that can be read but {next(kinds, 'something else')}"
