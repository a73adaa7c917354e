"""Work over the archive in several processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.archive import RawArchive, write_archive
from pipeline.core.errors import DataError
from pipeline.core.workers import map_archive

REPOSITORY = Path(__file__).parents[2]
SLEEPER = """\
import os, sys, time
from pathlib import Path
from pipeline.core.workers import map_archive

def sleep(archive, seconds):
    print(os.getpid(), flush=True)
    time.sleep(seconds)

if __name__ == "__main__":
    try:
        seconds = float(sys.argv[1])
        list(map_archive(sleep, [seconds] * 4, archive_path=Path("raw.zip"), workers=2))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.fixture
def archive_path(tmp_path) -> Path:
    path = tmp_path / "raw.zip"
    write_archive(path, [(f"cat/{k}", f"{k}", bytes([k])) for k in range(9)])
    return path


def first_byte(archive: RawArchive, path: str) -> tuple[int, int]:
    return archive.read(path)[0], os.getpid()


def die(archive: RawArchive, path: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_the_order_of_the_parts(archive_path):
    parts = [f"cat/{k}" for k in (5, 3, 8, 1)]
    for workers in (1, 2):
        found = list(map_archive(first_byte, parts, archive_path=archive_path, workers=workers))
        assert [byte for byte, _ in found] == [5, 3, 8, 1]
        assert any(pid == os.getpid() for _, pid in found) == (workers == 1)


def test_a_single_part_is_done_without_starting_a_process(archive_path):
    ((_, pid),) = map_archive(first_byte, ["cat/1"], archive_path=archive_path, workers=8)
    assert pid == os.getpid()


def test_a_process_that_dies_is_an_error_with_a_cure(archive_path):
    with pytest.raises(DataError, match=r"a process that decodes images died.*runtime.workers: 1"):
        list(map_archive(die, ["cat/1", "cat/2"], archive_path=archive_path, workers=2))


@pytest.fixture
def sleeping(archive_path):
    """Start a parent with two workers; return it and the process ids of the workers."""
    (archive_path.parent / "sleeper.py").write_text(SLEEPER)
    parents = []

    def start(seconds: float) -> tuple[subprocess.Popen, list[int]]:
        parent = subprocess.Popen(
            [sys.executable, "sleeper.py", str(seconds)],
            cwd=archive_path.parent,
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
