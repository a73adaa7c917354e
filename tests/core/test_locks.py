"""One process at a time: what is held, who waits, and what a kill leaves."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from pipeline.core import locks, seats
from pipeline.core.errors import ArtifactError, ParamsError, TrainingError
from pipeline.core.locks import first_free, held, holder, try_lock
from pipeline.core.process import JOBS, available_cores, usable_cores


def test_a_folder_is_held_by_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.2)
    folder = tmp_path / "a" / "b"
    with (
        held(folder, owner="another training"),
        pytest.raises(TrainingError, match=r"another training, process \d+, is using it"),
        held(folder, owner="another training"),
    ):
        pass
    with held(folder, owner="another training"):
        assert holder(folder) == os.getpid()
    assert holder(folder) is None


def test_who_would_rather_wait_is_told_once_for_whom(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)
    descriptor, told = try_lock(tmp_path / "f"), []

    def on_wait(holder):
        told.append(holder)
        threading.Timer(0.5, os.close, [descriptor]).start()

    with held(tmp_path / "f", owner="another training", on_wait=on_wait):
        assert told == [os.getpid()]


def test_the_first_free_one_is_taken(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    descriptor = try_lock(folders[0])
    assert descriptor is not None
    assert first_free(folders, on_wait=pytest.fail) == 1
    assert first_free(folders, on_wait=pytest.fail) == 2
    os.close(descriptor)
    assert first_free(folders, on_wait=pytest.fail) == 0


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="file/x: cannot be used: Not a directory"):
        try_lock(tmp_path / "file" / "x")


def test_cores_are_divided_among_the_jobs_that_the_environment_names(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for text, cores in (("", 8), ("1", 8), ("2", 4), (" 3 ", 2), ("99", 1)):
        monkeypatch.setenv(JOBS, text)
        assert (available_cores(), usable_cores()) == (cores, 8)
    for text in ("0", "-1", "two", "1.5", "²"):
        monkeypatch.setenv(JOBS, text)
        with pytest.raises(ParamsError, match=f"{JOBS}: found '{text}', allowed: how many"):
            available_cores()


def test_a_process_on_cores_that_another_one_uses_says_so_once_it_wants_more_than_half(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seats._company.cache_clear()
    seats.notice_company(usable_cores())  # the first to come
    seats.notice_company(usable_cores())  # which does not find itself
    assert caplog.text == ""
    seats._company.cache_clear()  # as a second process
    seats.notice_company(usable_cores() // 2)
    assert caplog.text == ""
    seats.notice_company(usable_cores())
    assert f"process {os.getpid()} computes on these {usable_cores()} cores too" in caplog.text
    assert f"{JOBS}=N dvc queue start -j N" in caplog.text
    seats._company.cache_clear()


GPU = """\
import sys, time
from pipeline.core.process import guarded
from pipeline.core.seats import claim
def main():
    print("has", claim(sys.argv[1:]), flush=True)
    time.sleep(60)
sys.exit(guarded(main, name="train"))
"""


class Claimer:
    """A process that wants one of some GPUs, which it knows by name alone, and keeps it."""

    def __init__(self, folder: Path, *uuids: str) -> None:
        self.said = folder / f"{time.monotonic_ns()}.txt"
        with self.said.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", GPU, *uuids],
                env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(Path.cwd())},
                stdout=file,
                stderr=file,
            )

    def says(self, text: str) -> str:
        """Wait for words; return all that was said."""
        end = time.monotonic() + 60
        while text not in (said := self.said.read_text()):
            assert self.process.poll() is None, said
            assert time.monotonic() < end
            time.sleep(0.02)
        return said

    def end(self, signum: int) -> int:
        self.process.send_signal(signum)
        return self.process.wait(30)


def test_two_processes_never_have_one_gpu_and_a_kill_frees_it(tmp_path):
    first = Claimer(tmp_path, "GPU-a", "GPU-b")
    first.says("has 0")
    second, third, fourth = (Claimer(tmp_path, "GPU-a") for _ in range(3))
    for waiting in (second, third, fourth):
        assert waiting.says("waiting\n") == (
            "WARNING waiting for the GPU, which is in use by process "
            f"{first.process.pid}; Ctrl-C ends the waiting\n"
        )
    other = Claimer(tmp_path, "GPU-a", "GPU-b")
    other.says("has 1")
    assert second.end(signal.SIGINT) == 130
    assert second.says("").endswith("train: interrupted; nothing was half-written\n")
    assert third.end(signal.SIGTERM) == 143
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    fourth.says("has 0")
    assert fourth.end(signal.SIGKILL) == other.end(signal.SIGKILL) == -signal.SIGKILL
