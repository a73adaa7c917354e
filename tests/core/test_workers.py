"""Work over the archive in several processes."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.core.workers import CHUNK_ITEMS, CHUNKS_AHEAD, supervised_map

REPOSITORY = Path(__file__).parents[2]
SLEEPER = """\
import os, sys, time
from pipeline.core.workers import supervised_map

def sleep(seconds):
    print(os.getpid(), flush=True)
    time.sleep(seconds)

if __name__ == "__main__":
    try:
        seconds = float(sys.argv[1])
        list(supervised_map(sleep, [seconds] * 4, workers=2, chunk_items=1))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def in_process(number: int) -> tuple[int, int]:
    return number, os.getpid()


def square(number: int) -> int:
    return number * number


def square_or_fail(number: int, *, bad: dict[int, str], log: Path) -> int:
    """Square, or what a damaged image may do to a decoder."""
    failure = bad.get(number)
    if failure is not None:
        with log.open("a") as file:
            file.write(f"{number}\n")
    if failure == "hang":
        time.sleep(60)
    if failure == "exit":
        os._exit(3)
    if failure == "killed once" and log.read_text().split().count(str(number)) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if failure == "segfault":
        ctypes.string_at(0)
    return number * number


def refuse(number: int) -> int:
    raise DataError(f"{number} is refused")


def slow_crash_or_refuse(kind: str) -> str:
    if kind == "slow":
        time.sleep(2)
    if kind == "crash":
        os._exit(3)
    if kind == "refuse":
        raise DataError("refused")
    return kind


def bug(number: int) -> int:
    return [][number]


def naming(number: int, why: str) -> str:
    return f"{number} {why}"


def test_results_come_in_the_order_of_the_items():
    items = range(400, 0, -1)
    for workers in (1, 3):
        found = list(supervised_map(in_process, items, workers=workers))
        assert [number for number, _ in found] == list(items)
        assert len({pid for _, pid in found} - {os.getpid()}) in range(1, workers + 1)


def test_a_single_chunk_is_done_without_starting_a_process():
    ((_, pid),) = supervised_map(in_process, [1], workers=8)
    assert pid == os.getpid()


def test_items_are_taken_only_as_far_ahead_as_the_results_are_wanted():
    taken = []
    results = supervised_map(square, map(taken_down(taken), range(10_000)), workers=2)
    assert next(results) == 0
    assert len(taken) <= (2 * CHUNKS_AHEAD + 2) * CHUNK_ITEMS
    results.close()


def taken_down(taken: list[int]):
    def take(item: int) -> int:
        taken.append(item)
        return item

    return take


def test_no_item_gives_no_result():
    assert list(supervised_map(square, [], workers=2, lost=naming)) == []


@pytest.mark.parametrize(
    ("failure", "why"),
    [("segfault", "crashed (signal 11)"), ("exit", "ended early"), ("hang", "hung for 1 s")],
)
def test_a_process_that_fails_costs_just_the_item_it_failed_on(tmp_path, failure, why):
    bad = {17: failure, 140: failure}
    work = partial(square_or_fail, bad=bad, log=tmp_path / "log")
    found = list(supervised_map(work, range(200), workers=2, lost=naming, patience_s=1))
    assert found == [f"{n} {why}" if n in bad else n * n for n in range(200)]
    assert sorted((tmp_path / "log").read_text().split()) == ["140", "140", "17", "17"]


def test_a_process_that_somebody_kills_costs_nothing(tmp_path):
    work = partial(square_or_fail, bad={5: "killed once"}, log=tmp_path / "log")
    assert list(supervised_map(work, range(9), workers=2, lost=naming)) == [n * n for n in range(9)]


class SlowToStart:
    """Work that a process is busy with receiving, before it can begin anything."""

    def __init__(self, log: Path, *, times: int) -> None:
        self.log, self.times = log, times

    def __setstate__(self, state: tuple) -> None:
        for name, value in state[1].items():
            setattr(self, name, value)
        with self.log.open("a") as file:
            file.write("started\n")
        if len(self.log.read_text().split()) <= self.times:
            time.sleep(60)

    def __getstate__(self) -> tuple:
        return None, self.__dict__

    def __call__(self, number: int) -> int:
        return number * number


def test_a_process_that_is_slow_to_start_is_replaced_and_costs_no_item(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("pipeline.core.workers.STARTING_S", 6.0)
    work = SlowToStart(tmp_path / "log", times=1)
    found = list(supervised_map(work, range(9), workers=1, lost=naming, patience_s=0.1))
    assert found == [n * n for n in range(9)]
    assert "a worker process was not ready after 6 s" in caplog.text


def test_processes_that_never_start_are_an_error_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.core.workers.STARTING_S", 0.5)
    work = SlowToStart(tmp_path / "log", times=99)
    with pytest.raises(DataError, match=r"do not start: one was not ready after 0\.5 s; run again"):
        list(supervised_map(work, range(9), workers=1, lost=naming, patience_s=0.1))


def test_a_lost_item_is_an_error_that_names_it_where_nobody_stands_in(tmp_path):
    work = partial(square_or_fail, bad={70: "segfault"}, log=tmp_path / "log")
    with pytest.raises(DataError, match=r"^70: .* crashed \(signal 11\), twice.*workers: 1"):
        list(supervised_map(work, range(200), workers=2))


def test_when_everything_is_lost_the_run_ends(tmp_path):
    work = partial(square_or_fail, bad=dict.fromkeys(range(9), "exit"), log=tmp_path / "log")
    with pytest.raises(DataError, match="after 3 others"):
        list(supervised_map(work, range(9), workers=2, lost=naming, max_lost=3))


@pytest.mark.parametrize("n_items", [1, 200])
def test_what_the_work_raises_is_raised_here(n_items):
    with pytest.raises(DataError, match=r"^0 is refused$"):
        list(supervised_map(refuse, range(n_items), workers=2))


def test_an_error_beside_a_crash_in_its_chunk_is_raised_in_its_turn():
    # While the slow head holds up the results, all parts of the chunk behind it are answered.
    items = ["slow", "fine", "fine", "fine", "crash", "refuse"]
    results = supervised_map(
        slow_crash_or_refuse, items, workers=2, lost=naming, chunk_items=3, patience_s=10
    )
    assert [next(results) for _ in range(3)] == items[:3]
    with pytest.raises(DataError, match=r"^refused$"), alarm(20):
        next(results)


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """Interrupt what would wait for ever."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_a_bug_in_the_work_keeps_its_traceback():
    with pytest.raises(IndexError) as caught:
        list(supervised_map(bug, range(200), workers=2))
    assert "in bug\n    return [][number]" in caught.value.__notes__[0]


@pytest.fixture
def sleeping(tmp_path):
    """Start a parent with two workers; return it and the process ids of the workers."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    parents = []

    def start(seconds: float) -> tuple[subprocess.Popen, list[int]]:
        parent = subprocess.Popen(
            [sys.executable, "sleeper.py", str(seconds)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        parents.append(parent)
        return parent, [int(parent.stdout.readline()) for _ in range(2)]

    yield start
    for parent in parents:
        parent.kill()
        parent.communicate()


def gone(pids: list[int], *, within_s: float = 10) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_workers_end_when_their_parent_is_killed(sleeping):
    parent, workers = sleeping(60)
    parent.kill()
    assert gone(workers)


def test_workers_say_nothing_at_an_interrupt(sleeping):
    parent, workers = sleeping(0.5)
    os.killpg(parent.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
    _, errors = parent.communicate(timeout=20)
    assert (parent.returncode, errors) == (130, "")
    assert gone(workers)
