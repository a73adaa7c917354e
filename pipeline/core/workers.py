"""The same work on many items, in processes that may crash or hang without taking the run along."""

import logging
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from threading import Thread
from traceback import format_exc
from typing import Any, TypeVar

from pipeline.core.errors import DataError, PipelineError

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK_ITEMS = 64
"""Items that travel together: enough to make the travel cheap, few enough to share out evenly."""
CHUNKS_AHEAD = 4
"""Finished or running chunks per worker before the consumer takes the next: bounds the memory."""
PATIENCE_S = 30.0
"""The largest image of the gate takes about a second; the rest is for a busy machine."""
STARTING_S = 120.0
"""Python and its imports take a quarter of a second; the rest is for a cold or busy machine."""
MAX_LOST = 100
TRIES = 2
"""One more in a fresh process: it may have been killed for what another process did."""
IDLE = -1


def supervised_map(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    lost: Callable[[Item, str], Result] | None = None,
    chunk_items: int = CHUNK_ITEMS,
    patience_s: float = PATIENCE_S,
    max_lost: int = MAX_LOST,
) -> Iterator[Result]:
    """Yield `work(item)` for each item, in their order.

    The items are taken lazily and their results held for a few chunks only, so neither has to fit
    into memory. The results do not depend on the number of workers.

    Args:
        work: a function of a module, or a partial of one: it travels to other processes.
        items: what to work on; they travel too.
        workers: processes.
        lost: gives the result of an item whose process crashed or hung twice, from the item and
            what happened (`crashed (signal 11)`, `hung for 30 s`). None makes that an error, and
            work so small that it fits into one chunk is done in this process.
        chunk_items: items that travel together.
        patience_s: a process that is longer than this with one item hangs.
        max_lost: so many lost items are bad luck; more are a broken machine.

    Raises:
        DataError: an item was lost and `lost` is None, or too many were, or processes do not start.
    """
    chunks = _chunks(items, chunk_items)
    if lost is None:
        first = list(islice(chunks, 2))
        if len(first) < 2:
            yield from (work(item) for chunk in first for item in chunk)
            return
        chunks = _chained(first, chunks)
    crew = _Crew(work, chunks, workers=workers, lost=lost, patience_s=patience_s, max_lost=max_lost)
    try:
        yield from crew.results()
    finally:
        crew.dismiss()


@dataclass(slots=True)
class _Chunk:
    """Consecutive items, and what has become of them."""

    items: list[Any]
    results: list[Any]
    missing: int
    error: BaseException | None = None
    failures: Counter[int] = field(default_factory=Counter)
    """How often each suspected item failed, by its place."""

    def settle(self, start: int, results: list[Any]) -> None:
        """Put the results of consecutive items in their place."""
        self.results[start : start + len(results)] = results
        if self.error is None:  # after one, nothing is missing
            self.missing -= len(results)

    def fail(self, error: BaseException) -> None:
        """Have an error raised when the results would be due."""
        self.error, self.missing = error, 0


@dataclass(frozen=True, slots=True)
class _Task:
    """A part of a chunk for one worker."""

    chunk: _Chunk
    start: int
    stop: int


@dataclass(slots=True)
class _Worker:
    """A process, and what it is doing as far as this side knows."""

    process: Any
    pipe: Connection
    begun: Connection
    """A byte comes here for every item that it begins."""
    task: _Task | None = None
    position: int = IDLE
    """Which item of its task it works on, as far as was asked."""
    moved_at: float = field(default_factory=time.monotonic)
    ready: bool = False
    """Whether it has ever begun an item: imports are done."""

    def give(self, task: _Task) -> None:
        self.look()
        self.task, self.position, self.moved_at = task, IDLE, time.monotonic()
        with suppress(OSError):  # it is dead, which its end of the pipe will tell
            self.pipe.send(task.chunk.items[task.start : task.stop])

    def look(self) -> None:
        """Find out how far it is."""
        with suppress(BlockingIOError):
            while n_begun := len(os.read(self.begun.fileno(), 4096)):
                self.position += n_begun
                self.ready = True
                self.moved_at = time.monotonic()

    def hangs(self, patience_s: float) -> str:
        """Say how long it has been on one item, or starting, if that is too long; else nothing."""
        self.look()
        starting = not self.ready
        patience_s = max(patience_s, STARTING_S) if starting else patience_s
        if self.task is None or time.monotonic() - self.moved_at <= patience_s:
            return ""
        return f"{'was not ready after' if starting else 'hung for'} {patience_s:g} s"

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()
        self.look()
        self.begun.close()


class _Crew:
    """Processes at work on the chunks, and the replacements of those that fail."""

    def __init__(
        self,
        work: Callable[[Any], Any],
        chunks: Iterator[list[Any]],
        *,
        workers: int,
        lost: Callable[[Any, str], Any] | None,
        patience_s: float,
        max_lost: int,
    ) -> None:
        self._work, self._chunks, self._lost = work, chunks, lost
        self._patience_s, self._max_lost = patience_s, max_lost
        self._most_open = workers * CHUNKS_AHEAD
        self._open: deque[_Chunk] = deque()
        """Chunks in order whose results have not been yielded."""
        self._waiting: deque[_Task] = deque()
        self._n_lost, self._failed_starts = 0, 0
        self._workers: list[_Worker] = []
        self._wanted = workers

    def results(self) -> Iterator[Any]:
        """Yield every result in order."""
        while self._fill():
            while self._open and self._open[0].missing == 0:
                chunk = self._open.popleft()
                if chunk.error is not None:
                    raise chunk.error
                yield from chunk.results
                self._fill()
            if self._open:
                self._wait()

    def dismiss(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _fill(self) -> bool:
        """Take chunks while there is room, hand out tasks; tell whether anything is open."""
        self._hand_out()
        while len(self._open) < self._most_open and (items := next(self._chunks, None)):
            chunk = _Chunk(items, [None] * len(items), len(items))
            self._open.append(chunk)
            self._waiting.append(_Task(chunk, 0, len(items)))
            self._hand_out()  # at once: it may take time to come by the next chunk
        return bool(self._open)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.task is None and self._waiting:
                worker.give(self._waiting.popleft())
        while self._waiting and len(self._workers) < self._wanted:
            self._workers.append(_start(self._work))
            self._workers[-1].give(self._waiting.popleft())

    def _wait(self) -> None:
        """Wait until a worker has answered, died, or been silent for too long."""
        busy = {worker.pipe: worker for worker in self._workers if worker.task}
        ready = wait(list(busy), timeout=min(1.0, self._patience_s / 4))
        for worker in [busy[pipe] for pipe in ready]:  # type: ignore[index]
            try:
                answer = worker.pipe.recv()
            except (EOFError, OSError):
                self._replace(worker, _end_of(worker))
            else:
                self._accept(worker, answer)
        for worker in list(self._workers):
            if why := worker.hangs(self._patience_s):
                self._replace(worker, why)

    def _accept(self, worker: _Worker, answer: list[Any] | BaseException) -> None:
        task = worker.task
        assert task is not None
        worker.task, self._failed_starts = None, 0
        if isinstance(answer, BaseException):
            # Raised in its turn, so that it is the same error whoever is fastest.
            task.chunk.fail(answer)
        else:
            task.chunk.settle(task.start, answer)

    def _replace(self, worker: _Worker, why: str) -> None:
        """Go on without a worker: its task is cut around the item that it failed on."""
        self._workers.remove(worker)
        worker.end()
        task, position = worker.task, worker.position
        assert task is not None
        if position == IDLE:
            self._failed_starts += 1
            if self._failed_starts > TRIES:
                cure = "; run again when the machine is less busy" if "ready" in why else ""
                raise DataError(f"worker processes do not start: one {why}{cure}")
            log.warning("a worker process %s; another one is started", why)
            self._waiting.appendleft(task)
            return
        failed = task.start + position
        rest = [_Task(task.chunk, task.start, failed), _Task(task.chunk, failed + 1, task.stop)]
        self._waiting.extendleft(part for part in rest if part.start < part.stop)
        self._try_again(task.chunk, failed, why)

    def _try_again(self, chunk: _Chunk, index: int, why: str) -> None:
        item = chunk.items[index]
        chunk.failures[index] += 1
        if chunk.failures[index] < TRIES:
            self._waiting.appendleft(_Task(chunk, index, index + 1))
            return
        self._n_lost += 1
        if self._lost is None or self._n_lost > self._max_lost:
            raise DataError(
                f"{_shown(item)}: a worker process {why}, twice"
                f"{f', after {self._max_lost} others' if self._lost else ''}; "
                "for want of memory? free some, or set runtime.workers: 1 in params.yaml"
            )
        chunk.settle(index, [self._lost(item, why)])


def _start(work: Callable[[Any], Any]) -> _Worker:
    # Not fork: a forked child would share locks of threads that do not exist in it. Pipes, not
    # shared memory, which is a file somewhere and needs room there.
    context = get_context("spawn")
    try:
        ours, theirs = context.Pipe()
        begun, begins = context.Pipe(duplex=False)
        process = context.Process(target=_serve, args=(theirs, begins, work), daemon=True)
        with _without_interrupt():
            process.start()
    except OSError as error:
        raise DataError(
            f"worker processes do not start: {error.strerror or error}; "
            "set runtime.workers lower in params.yaml, or raise the limit (ulimit -a)"
        ) from error
    theirs.close()  # or its death would not be seen as the end of the pipe
    begins.close()
    os.set_blocking(begun.fileno(), False)
    return _Worker(process, ours, begun)


def _serve(pipe: Connection, begins: Connection, work: Callable[[Any], Any]) -> None:
    """Answer each list of items with the list of results, in a process of its own."""
    Thread(target=_leave_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):  # the parent has gone
        while True:
            items = pipe.recv()
            answer: list[Any] | BaseException = []
            try:
                for item in items:
                    os.write(begins.fileno(), b".")
                    answer.append(work(item))  # type: ignore[union-attr]
            except Exception as error:
                if not isinstance(error, PipelineError):
                    error.add_note(format_exc())  # where it happened; a traceback cannot travel
                answer = error
            pipe.send(answer)


def _end_of(worker: _Worker) -> str:
    worker.process.join(1)
    code = worker.process.exitcode
    return f"crashed (signal {-code})" if code is not None and code < 0 else "ended early"


def _shown(item: Any) -> str:
    text = item if isinstance(item, str) else str(getattr(item, "path", item))
    return text[:200]


def _chunks(items: Iterable[Item], n_items: int) -> Iterator[list[Item]]:
    source = iter(items)
    while chunk := list(islice(source, n_items)):
        yield chunk


def _chained(first: list[list[Item]], rest: Iterator[list[Item]]) -> Iterator[list[Item]]:
    yield from first
    yield from rest


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Start a process that never sees Ctrl-C: it is for the parent, which says one line."""
    resource_tracker.ensure_running()  # whose own start unblocks it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_with_parent() -> None:
    """End this process when the parent has been killed; it would wait for work forever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
