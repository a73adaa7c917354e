"""The same work on every part of the archive, in several processes."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache, partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import TypeVar

from pipeline.core.archive import RawArchive
from pipeline.core.errors import DataError

Part = TypeVar("Part")
Result = TypeVar("Result")


def map_archive(
    work: Callable[[RawArchive, Part], Result],
    parts: Sequence[Part],
    *,
    archive_path: Path,
    workers: int,
) -> Iterator[Result]:
    """Yield `work(archive, part)` for each part, in their order.

    Args:
        work: a function of a module, or a partial of one: it travels to other processes.
        parts: pieces of work of a second or so; a single one is done in this process.
        archive_path: data/raw.zip. Every process opens it once, since its index of 20,000 images
            takes 0.2 s to read.
        workers: processes; the results do not depend on their number.

    Raises:
        DataError: a process died.
    """
    if workers == 1 or len(parts) <= 1:
        with RawArchive(archive_path) as archive:
            yield from (work(archive, part) for part in parts)
        return
    with ProcessPoolExecutor(
        min(workers, len(parts)),
        # Not fork: a forked child would share locks of threads that do not exist in it.
        mp_context=get_context("spawn"),
        initializer=_watch_parent,
    ) as pool:
        try:
            with _workers_without_interrupt():
                results = pool.map(partial(_call, work, archive_path), parts)
            yield from results
        except BrokenProcessPool as error:
            raise DataError(
                f"{archive_path}: a process that decodes images died, perhaps for want of memory; "
                "free some, or set runtime.workers: 1 in params.yaml"
            ) from error


@contextmanager
def _workers_without_interrupt() -> Iterator[None]:
    """Start processes that never see Ctrl-C: it is for the parent, which says one line."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _call(work: Callable[[RawArchive, Part], Result], archive_path: Path, part: Part) -> Result:
    return work(_open(archive_path), part)


_open = lru_cache(maxsize=1)(RawArchive)  # in a worker, which lives as long as one map_archive


def _watch_parent() -> None:
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this process when the parent has been killed; it would wait for work forever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
