"""The images that a user names: files, folders, archives, patterns, and lists of these.

A folder is read in sorted order, an archive in its own; what by its name cannot be an image is
passed over and counted. Nothing is held that grows with the number of images, and nothing is
unpacked. Links to files are followed, links to folders are not: they may form a loop.
"""

import heapq
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.core.errors import DataError, ImageError
from pipeline.core.tars import HEADER_BYTES
from pipeline.imaging.decode import MAX_BYTES
from pipeline.inference.archives import (
    ZIP_SIGNATURES,
    is_tar,
    read_zip_member,
    tar_members,
    zip_members,
)

STDIN = "-"
IGNORED_NAMES = ("thumbs.db", "desktop.ini", "__macosx")
IGNORED_SUFFIXES = (".txt", ".csv", ".json", ".jsonl", ".md", ".parquet", ".partial")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
PATTERN = re.compile(r"[*?[]")
NAMES_AT_ONCE = 50_000
"""Of one folder, held in memory; a folder with more is listed several times."""
LIST_BLOCK_BYTES = 8192  # more than the longest path: a list with NULs shows one in the first
Parts = tuple[str, ...]  # of a pattern, a name each; the last is never `**`


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to classify; it travels between processes."""

    path: str
    """What the table calls it: the path as given, `folder/sub/name`, or `archive.zip/member`."""
    read: Callable[[], bytes]
    """Returns its bytes; raises DataError where that cannot be done."""
    held_bytes: int = 0
    """How much of its content `read` carries along."""


class Inputs:
    """Everything under the paths that a user named; iterate once, in an order that is always it.

    Args:
        paths: files, folders, archives, patterns, or `-` for a list on standard input.
        stdin: where the list comes from.

    Raises:
        DataError: a path does not exist, is of no use, or is an archive that cannot be read.
    """

    def __init__(self, paths: Sequence[str], *, stdin: IO[bytes] | None = None) -> None:
        if "" in paths:
            raise DataError("an empty PATH; an unset variable?")
        self._paths = [str(Path(path)) for path in paths]
        self._stdin = stdin
        self.n_passed_over = 0
        if self._paths.count(STDIN) > 1:
            raise DataError("`-`: standard input can be read once only")
        for path in self._paths:
            self._check(path)

    def __iter__(self) -> Iterator[Input]:
        self.n_passed_over = 0
        return chain.from_iterable(map(self._named, self._paths))

    def count(self) -> int | None:
        """Return how many there are, None if that is not known beforehand.

        Raises:
            DataError: an archive or a folder cannot be read.
        """
        if STDIN in self._paths:
            return None
        if any(_kind_now(place) == "tar" for path in self._paths for place in self._places(path)):
            return None
        return sum(1 for _ in self)

    def _check(self, path: str) -> None:
        """Refuse at once what cannot be used, before hours of work on what stands before it."""
        if path == STDIN:
            return
        if not os.path.lexists(path) and PATTERN.search(path):
            if next(_matches(path), None) is None:
                raise DataError(f"{path}: nothing matches")
            return
        kind = _kind(path)
        if kind == "zip":
            for _ in zip_members(path):
                pass
        if kind == "tar":
            next(tar_members(path), None)

    def _named(self, path: str) -> Iterator[Input]:
        return chain.from_iterable(map(self._at, self._places(path)))

    def _places(self, path: str) -> Iterator[str]:
        """Yield the files, folders and archives that a path, a pattern or `-` stands for."""
        if path == STDIN:
            return _listed(self._stdin or sys.stdin.buffer)
        plain = os.path.lexists(path) or not PATTERN.search(path)
        return iter([path]) if plain else _matches(path)

    def _at(self, path: str) -> Iterator[Input]:
        kind = _kind_now(path)
        if kind == "folder":
            return self._folder(path)
        if kind == "zip":
            return self._zip(path)
        return self._tar(path) if kind == "tar" else iter([_file_input(path)])

    def _folder(self, folder: str) -> Iterator[Input]:
        for path, name in walk(folder):
            if _ignored_file(name):
                self.n_passed_over += 1
            else:
                yield _file_input(path)

    def _zip(self, path: str) -> Iterator[Input]:
        for member in zip_members(path):
            if _ignored_member(member.name):
                self.n_passed_over += 1
            else:
                yield Input(f"{path}/{member.name}", partial(read_zip_member, path, member))

    def _tar(self, path: str) -> Iterator[Input]:
        for member in tar_members(path):
            name = f"{path}/{member.name}"
            if _ignored_member(member.name):
                self.n_passed_over += 1
            elif member.content is None:
                yield Input(name, partial(_refuse_size, member.size_bytes))
            else:
                yield Input(name, partial(bytes, member.content), len(member.content))


def walk(folder: str) -> Iterator[tuple[str, str]]:
    """Yield (path, name) of every file below a folder, hidden folders left out, in sorted order.

    Raises:
        DataError: a folder cannot be read.
    """
    waiting = [_entries(folder)]  # not recursive: folders nest deeper than Python's stack
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
        elif not entry.is_dir(follow_symlinks=False):
            yield entry.path, entry.name
        elif not _ignored_folder(entry.name):
            waiting.append(_entries(entry.path))


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield a folder's entries by name, holding NAMES_AT_ONCE of them."""
    last: str | None = None
    while True:
        try:
            with os.scandir(folder) as entries:
                later: Iterable[os.DirEntry[str]] = entries
                if last is not None:
                    later = (entry for entry in entries if entry.name > last)
                batch = heapq.nsmallest(NAMES_AT_ONCE, later, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{folder}: cannot be read: {error.strerror}") from error
        yield from batch
        if len(batch) < NAMES_AT_ONCE:
            return
        last = batch[-1].name


def _matches(pattern: str) -> Iterator[str]:
    """Yield the files and folders that match a pattern, each once, in the order of `walk`.

    `*`, `?` and `[...]` stay within a name, `**` stands for any number of folders; hidden names do
    not match. Below a folder that matches nothing is looked for: it stands for all of its files.
    """
    parts = PurePosixPath(pattern).parts
    if parts[-1] == "**":
        parts = (*parts, "*")
    n_plain = next(i for i, part in enumerate(parts) if PATTERN.search(part))
    top = str(PurePosixPath(*parts[:n_plain]))
    if not os.path.isdir(top):  # noqa: PTH112  (odd names stay as they are)
        return
    waiting = [(_entries(top), {parts[n_plain:]})]  # not recursive, as in `walk`
    while waiting:
        entries, patterns = waiting[-1]
        entry = next(entries, None)
        if entry is None:
            waiting.pop()
            continue
        rests = set().union(*(_rests(pattern, entry) for pattern in patterns))
        if () in rests:
            yield entry.path.removeprefix("./")
        elif rests and entry.is_dir():
            waiting.append((_entries(entry.path), rests))


def _rests(parts: Parts, entry: os.DirEntry[str]) -> set[Parts]:
    """Return what a pattern still asks for below an entry; the empty rest: it matches itself."""
    part, rest = parts[0], parts[1:]
    hidden = _ignored_folder(entry.name)
    if part == "**":
        passed = set() if hidden or entry.is_symlink() else {parts}
        return passed | _rests(rest, entry)
    if PATTERN.search(part):
        matches = not hidden and fnmatchcase(entry.name, part)
    else:
        matches = entry.name == part
    return {rest} if matches else set()


def _listed(file: IO[bytes]) -> Iterator[str]:
    """Yield the paths of a list: separated by NUL bytes if there is one, else by line ends."""
    block = file.read(LIST_BLOCK_BYTES)
    separator = b"\0" if b"\0" in block else b"\n"
    rest = b""
    while block:
        *whole, rest = (rest + block).split(separator)
        yield from (os.fsdecode(path) for path in whole if path)
        block = file.read(LIST_BLOCK_BYTES)
    if rest:
        yield os.fsdecode(rest)


def _kind(path: str) -> str:
    """Return `folder`, `file`, `zip` or `tar`; content is looked at where the name does not tell.

    Raises:
        DataError: there is nothing there that could be read.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
        if stat.S_ISDIR(mode):
            return "folder"
        if not stat.S_ISREG(mode):
            raise DataError(f"{path}: neither a file nor a folder")
        if path.lower().endswith(IMAGE_SUFFIXES):
            return "file"
        with open(path, "rb") as file:  # noqa: PTH123
            start = file.read(HEADER_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: {reason}; expected a file, folder, archive or pattern") from error
    if path.lower().endswith(".zip") or start.startswith(ZIP_SIGNATURES):
        return "zip"
    return "tar" if path.lower().endswith(ARCHIVE_SUFFIXES) or is_tar(start) else "file"


def _kind_now(path: str) -> str:
    """Return `_kind`; what has gone since it was named is a file that cannot be read."""
    try:
        return _kind(path)
    except DataError:
        return "file"


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
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _refuse_size(n_bytes: int) -> bytes:
    raise ImageError("too_large", f"{n_bytes} bytes, limit {MAX_BYTES}")


def _ignored_folder(name: str) -> bool:
    return name.startswith(".") or name.lower() in IGNORED_NAMES


def _ignored_file(name: str) -> bool:
    return _ignored_folder(name) or name.lower().endswith(IGNORED_SUFFIXES)


def _ignored_member(name: str) -> bool:
    *folders, last = [part for part in name.replace("\\", "/").split("/") if part != "."] or [""]
    return any(map(_ignored_folder, folders)) or _ignored_file(last)
