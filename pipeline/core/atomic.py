"""Files written whole or not at all, and the sha256 that proves them whole.

The pattern is Pillai et al. 2014 (OSDI), All File Systems Are Not Created Equal, section 3:
write beside the target, fsync, rename over it, fsync the folder.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pipeline.core.errors import ArtifactError

CHUNK_BYTES = 1 << 20
TEMPORARY_PREFIX = ".tmp-"


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a binary file that takes the name `path` only if the block succeeds.

    Raises:
        ArtifactError: the folder is not writable, `path` is a folder, or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(path)
        handle, name = tempfile.mkstemp(prefix=f"{TEMPORARY_PREFIX}{path.name}-", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text to `path`, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys; NaN and infinity are refused, since they are not JSON."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sha256(path: Path) -> None:
    """Write `path`'s checksum beside it, in the form that `sha256sum --check` reads."""
    write_text(sha256_path(path), f"{sha256_file(path)}  {path.name}\n")


def sha256_path(path: Path) -> Path:
    """Return where the checksum of `path` lies."""
    return path.with_name(path.name + ".sha256")


def check_sha256(path: Path, *, stage: str) -> None:
    """Check that a model file is the one that was written.

    Raises:
        ArtifactError: the file or its checksum is missing, or they disagree.
    """
    for needed in (path, sha256_path(path)):
        if not needed.is_file():
            raise ArtifactError(f"{needed}: not found; run: dvc repro {stage}")
    words = sha256_path(path).read_text(errors="replace").split()
    expected = words[0] if words else "nothing"
    found = sha256_file(path)
    if found != expected:
        raise ArtifactError(
            f"{path}: sha256 is {found}, {sha256_path(path).name} says {expected}; "
            f"the file is damaged: run dvc checkout, or dvc repro {stage}"
        )


def _remove_orphans(path: Path) -> None:
    """Remove what a killed writer of the same file left; DVC runs one writer at a time."""
    for orphan in path.parent.glob(f"{TEMPORARY_PREFIX}{path.name}-*"):
        orphan.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
