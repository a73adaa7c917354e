"""Partial downloads: hidden files beside data/raw.zip that a later run goes on with."""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pipeline.core.errors import ArtifactError, DataError
from pipeline.sources.listing import described

PREFIX, SUFFIX = ".download-", ".part"


def partial_path(folder: Path, url: str, version: str) -> Path:
    """Return where one version of what lies at a URL is gathered."""
    return folder / f"{PREFIX}{_short_hash(url)}-{_short_hash(version)}{SUFFIX}"


def find_partial(folder: Path, url: str) -> Path | None:
    """Return what an earlier attempt left of a URL."""
    found = sorted(folder.glob(f"{PREFIX}{_short_hash(url)}-*{SUFFIX}"))
    return found[0] if found else None


@contextmanager
def locked(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a partial file for appending.

    Raises:
        DataError: another process has it open.
        ArtifactError: the folder is not writable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {described(error)}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(f"{name}: another process is fetching it; wait for that one") from error
        yield file


def append(file: IO[bytes], chunk: bytes, path: Path) -> None:
    """Write all of `chunk` to a file that `locked` opened.

    Raises:
        ArtifactError: the disk is full.
    """
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {described(error)}") from error


def discard(path: Path) -> None:
    """Remove a partial file, unless another process is writing it (then DataError)."""
    with locked(path, path.name):
        path.unlink(missing_ok=True)


def remove_partials(folder: Path, *, url: str | None = None) -> None:
    """Remove what downloads, or those of one URL, left in `folder`; not where one is under way."""
    of_which = "*" if url is None else f"{_short_hash(url)}-*"
    for path in folder.glob(f"{PREFIX}{of_which}{SUFFIX}"):
        with suppress(DataError, ArtifactError, OSError):
            discard(path)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:12]
