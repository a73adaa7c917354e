"""The images that a user names on the command line: files, folders and zip archives.

Folders and archives are read in sorted order; what by its name cannot be an image is passed over.
Archives are read member by member and never unpacked. Links to files are followed, links to
folders are not: they may form a loop.
"""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from pipeline.core.errors import DataError, ImageError
from pipeline.imaging.decode import MAX_BYTES

IGNORED_NAMES = ("thumbs.db", "desktop.ini", "__macosx")
IGNORED_SUFFIXES = (".txt", ".csv", ".json", ".md")
ENCRYPTED_FLAG = 0x1  # general purpose bit 0, APPNOTE.TXT 4.4.4
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to classify."""

    path: str
    """What the table calls it: the path as given, `folder/sub/name`, or `archive.zip/member`."""
    read: Callable[[], bytes]
    """Returns its bytes; raises DataError where that cannot be done."""


class Inputs:
    """Everything under the paths that a user named; iterate as often as needed, in one order.

    Use as a context manager: archives stay open until the end. Threads may share it.

    Raises:
        DataError: a path does not exist, is of no use, or is an archive that cannot be read.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        with ExitStack() as stack:  # closes what was opened if a later path is refused
            self._walks = [_walk(path, stack) for path in paths]
            self._archives = stack.pop_all()

    def __iter__(self) -> Iterator[Input]:
        for walk in self._walks:
            yield from walk()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._archives.close()


def _walk(path: Path, archives: ExitStack) -> Callable[[], Iterator[Input]]:
    """Return how to walk through what lies at `path`; an archive is opened at once."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return partial(_walk_folder, str(path))
        if not stat.S_ISREG(mode):
            raise DataError(f"{path}: neither a file nor a folder")
        with path.open("rb") as file:
            signature = file.read(4)
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror or error}; expected a file, folder or zip"
        ) from error
    if path.suffix.lower() == ".zip" or signature in ZIP_SIGNATURES:
        return partial(_walk_archive, str(path), archives.enter_context(_open_archive(path)))
    return lambda: iter([_file_input(str(path))])


def _walk_folder(folder: str) -> Iterator[Input]:
    waiting = [_sorted_entries(folder)]  # not recursive: folders nest deeper than Python's stack
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
        elif entry.is_dir(follow_symlinks=False):
            if not _ignored_folder(entry.name):
                waiting.append(_sorted_entries(entry.path))
        elif not _ignored_file(entry.name):
            yield _file_input(entry.path)


def _sorted_entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return iter(sorted(entries, key=lambda entry: entry.name))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error


def _walk_archive(path: str, archive: zipfile.ZipFile) -> Iterator[Input]:
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        name = PurePosixPath(info.filename)
        ignored = any(map(_ignored_folder, name.parts[:-1])) or _ignored_file(name.name)
        if not info.is_dir() and not ignored:
            yield Input(f"{path}/{info.filename}", partial(_read_member, archive, info))


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # on damaged bytes zipfile raises many types
        raise DataError(f"{path}: not a readable zip archive: {error}") from error
    if any(info.flag_bits & ENCRYPTED_FLAG for info in archive.infolist()):
        archive.close()
        raise DataError(f"{path}: the archive is encrypted; unpack it with its password first")
    return archive


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > MAX_BYTES:
        raise ImageError("too_large", f"{info.file_size} bytes, limit {MAX_BYTES}")
    try:
        with archive.open(info) as member:
            return member.read(MAX_BYTES + 1)
    except Exception as error:  # on damaged bytes zipfile raises many types
        raise DataError(f"cannot be read from the archive: {error}") from error


def _file_input(path: str) -> Input:
    return Input(path, partial(_read_file, path))


def _read_file(path: str) -> bytes:
    try:
        # Non-blocking: opening a named pipe would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DataError("not a regular file")
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from error


def _ignored_folder(name: str) -> bool:
    return name.startswith(".") or name.lower() in IGNORED_NAMES


def _ignored_file(name: str) -> bool:
    return _ignored_folder(name) or name.lower().endswith(IGNORED_SUFFIXES)
