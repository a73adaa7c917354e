"""Files and folders written whole or not at all, and the sha256 that proves a file whole.

The pattern is Pillai et al. 2014 (OSDI), All File Systems Are Not Created Equal, section 3:
write beside the target, fsync, rename over it, fsync the folder.

Any number of processes may write one target at once; the last to finish wins. Each holds a lock on
its temporary file or folder, so that the next writer tells what a killed one left from what a live
one is still writing.
"""

import ctypes
import errno
import fcntl
import glob
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pipeline.core.errors import ArtifactError
from pipeline.core.process import signals_held

CHUNK_BYTES = 1 << 20
TEMPORARY_PREFIX = ".tmp-"
_RENAME_EXCHANGE = 2  # linux/fs.h
_AT_FDCWD = -100  # fcntl.h: paths are relative to the current folder


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a binary file that takes the name `path` only if the block succeeds.

    Raises:
        ArtifactError: the folder is not writable, `path` is a folder or a link, or the disk is
            full.
    """
    with _temporary(path, folder=False) as (temporary, descriptor):
        with os.fdopen(descriptor, "w+b", closefd=False) as file:
            yield file
        os.fchmod(descriptor, 0o644)
        os.fsync(descriptor)
        temporary.replace(path)
        _sync_folder(path.parent)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the name `path` only if the block succeeds.

    On Linux the old and the new folder change names in one step, so that a kill at any moment
    leaves one of them, whole, under `path`. Where a file system cannot do that (NFS, say) there is
    a moment without either.

    Raises:
        ArtifactError: the parent is not writable, `path` is a file or a link, or the disk is full.
    """
    with _temporary(path, folder=True) as (temporary, descriptor):
        yield temporary
        os.fchmod(descriptor, 0o755)
        _sync_tree(temporary)
        _take_name(temporary, path)
        _sync_folder(path.parent)


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


@contextmanager
def _temporary(path: Path, *, folder: bool) -> Iterator[tuple[Path, int]]:
    """Yield a locked temporary sibling of `path` and its descriptor; remove it in the end.

    After a folder has changed names with an older one, it is the older one that is removed.
    """
    made: tuple[Path, int] | None = None
    try:
        _check_target(path, folder=folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(path)
        made = _create(path, folder=folder)
        yield made
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if made is not None:
            with signals_held():  # or one that comes now would leave a part of it
                _remove(made[0])
                os.close(made[1])


def _check_target(path: Path, *, folder: bool) -> None:
    if path.is_symlink():
        raise ArtifactError(f"{path}: cannot be written: it is a link; remove the link")
    if path.exists() and path.is_dir() != folder:
        number = errno.ENOTDIR if folder else errno.EISDIR
        raise OSError(number, os.strerror(number))


def _create(path: Path, *, folder: bool) -> tuple[Path, int]:
    """Make and lock a temporary sibling of `path`; return it and its descriptor."""
    while True:
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{secrets.token_hex(4)}")
        try:
            if folder:
                temporary.mkdir(mode=0o755)
            flags = os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT | os.O_EXCL
            descriptor = os.open(temporary, flags, 0o644)
        except (FileExistsError, FileNotFoundError) as error:
            if path.parent.is_dir():
                continue  # the name was taken; or another process took the folder for an orphan
            raise error
        if _locked(descriptor) and _names(temporary, descriptor):
            return temporary, descriptor
        os.close(descriptor)  # another process was about to remove it before it was locked


def _locked(descriptor: int) -> bool:
    """Lock a temporary file or folder of our own; tell whether nobody else holds the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks; _remove_orphans leaves everything there alone
        return True
    return True


def _names(path: Path, descriptor: int) -> bool:
    """Tell whether `path` still leads to what was opened."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_orphans(path: Path) -> None:
    """Remove what killed writers of the same target left: what nobody holds a lock on."""
    for orphan in path.parent.glob(f"{TEMPORARY_PREFIX}{glob.escape(path.name)}-*"):
        with suppress(OSError):  # gone, of another user, or locked by its writer
            descriptor = os.open(orphan, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _names(orphan, descriptor):
                    _remove(orphan)
            finally:
                os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _take_name(temporary: Path, path: Path) -> None:
    """Give the folder `temporary` the name `path`; the folder that had it becomes `temporary`."""
    while True:
        try:
            if not _exchange(temporary, path):
                aside = temporary.with_name(f"{temporary.name}-old")  # an orphan to the next writer
                path.rename(aside)
                temporary.rename(path)
                _remove(aside)
            return
        except FileNotFoundError:  # nothing there to change names with
            with suppress(FileExistsError):  # by now there is
                _rename_new(temporary, path)
                return


def _rename_new(temporary: Path, path: Path) -> None:
    try:
        temporary.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(error.errno, error.strerror) from error
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change names in one step; return False where the system cannot.

    Raises:
        FileNotFoundError: one of them does not exist.
    """
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # not Linux
        return False
    names = os.fsencode(one), os.fsencode(other)
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):  # the kernel or this file system cannot
        return False
    raise OSError(number, os.strerror(number))


def _sync_tree(folder: Path) -> None:
    """Make everything in a folder survive a power cut."""
    for here, _, files in os.walk(folder):
        for name in files:
            descriptor = os.open(Path(here, name), os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        _sync_folder(Path(here))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
