"""Folders held by one process at a time; the system lets go when it ends, even by kill -9."""

import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.core.errors import ArtifactError, TrainingError

PATIENCE_S = 5.0  # a killed process may take a moment to be gone
POLL_S = 0.1


@contextmanager
def held(
    folder: Path, *, owner: str, on_wait: Callable[[int | None], None] | None = None
) -> Iterator[Path]:
    """Keep a folder for this process alone.

    Args:
        folder: made if it is not there.
        owner: who may hold it, for the message.
        on_wait: called once with the holder (None where the system does not say) if that one does
            not end at once; then this waits for it. None raises.

    Raises:
        TrainingError: another process holds it for longer than it takes to end.
        ArtifactError: the folder cannot be made or opened.
    """
    descriptor = _locked(folder, owner, on_wait)
    try:
        yield folder
    finally:
        os.close(descriptor)


def first_free(folders: Sequence[Path], *, on_wait: Callable[[Sequence[int | None]], None]) -> int:
    """Lock the first folder that nobody holds, for as long as this process lives.

    Args:
        folders: made if they are not there; what they stand for is alike.
        on_wait: called with the holders of all of them (None where the system does not say) when
            none is free, and again when the holders have changed; then this waits.

    Returns:
        The index of the folder.

    Raises:
        ArtifactError: a folder cannot be made or opened.
    """
    told: list[int | None] | None = None
    while True:
        for index, folder in enumerate(folders):
            if try_lock(folder) is not None:
                return index
        if (holders := [holder(folder) for folder in folders]) != told:
            on_wait(holders)
            told = holders
        time.sleep(POLL_S)


def try_lock(folder: Path, *, for_sure: bool = False) -> int | None:
    """Return a descriptor that holds the lock of a folder; None if another one holds it.

    Args:
        folder: made if it is not there.
        for_sure: None also on a file system that has no locks, where nobody can tell.

    Raises:
        ArtifactError: the folder cannot be made or opened.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # another process was done that moment, and removed it
            continue
        except OSError as error:
            raise ArtifactError(f"{folder}: cannot be used: {error.strerror or error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:  # a file system without locks
            if not for_sure:
                return descriptor
            os.close(descriptor)
            return None
        with suppress(OSError):
            if os.path.samestat(folder.stat(), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)  # it was removed before it was locked


def holder(folder: Path) -> int | None:
    """Return the process that holds the lock, where the system says so (Linux)."""
    with suppress(OSError, ValueError, IndexError):
        inode = str(folder.stat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                return int(words[4]) or None
    return None


def _locked(folder: Path, owner: str, on_wait: Callable[[int | None], None] | None) -> int:
    """Return a descriptor of the folder that holds its lock."""
    deadline = time.monotonic() + PATIENCE_S
    while (descriptor := try_lock(folder)) is None:
        if time.monotonic() > deadline:
            if on_wait is None:
                raise TrainingError(_in_use(folder, owner))
            on_wait(holder(folder))
            deadline = math.inf
        time.sleep(POLL_S)
    return descriptor


def _in_use(folder: Path, owner: str) -> str:
    pid = holder(folder)
    if pid is None:
        return f"{folder}: {owner} is using it; wait until it is done"
    return (
        f"{folder}: {owner}, process {pid}, is using it; wait until it is done, or run: "
        f"kill {pid} (it saves its state, and the next run continues)"
    )
