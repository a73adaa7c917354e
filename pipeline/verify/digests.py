"""The md5 of many files, each read once even where it has several names."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.core.atomic import CHUNK_BYTES
from pipeline.core.progress import Progress

Key = tuple[int, int]


class Digests:
    """The md5 of files, as DVC has it.

    With hard links a file and its object in DVC's cache are one file on the disk.

    Args:
        paths: the files; those that are not there have no md5.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        files: dict[Key, tuple[Path, int]] = {}
        self._keys: dict[Path, Key] = {}
        for path in paths:
            try:
                status = path.stat()
            except OSError:  # not there, or a link to nothing
                continue
            self._keys[path] = key = (status.st_dev, status.st_ino)
            files[key] = (path, status.st_size)
        self.n_bytes = sum(size for _, size in files.values())
        self._md5: dict[Key, str] = {}
        with Progress("verify", total=self.n_bytes, unit="B") as progress:
            for key, (path, _) in files.items():
                self._md5[key] = _md5(path, progress)

    def __getitem__(self, path: Path) -> str | None:
        """Return the md5 in hexadecimal; None if there is no file, nothing if it is unreadable."""
        key = self._keys.get(path)
        return None if key is None else self._md5[key]


def files_below(folder: Path) -> list[Path]:
    """Return every file in a folder, sorted by its path."""
    return sorted(Path(here, name) for here, _, names in os.walk(folder) for name in names)


def _md5(path: Path, progress: Progress) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                progress.advance(len(chunk))
    except OSError:  # a bad block, or not ours to read
        return ""
    return digest.hexdigest()
