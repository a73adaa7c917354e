"""Killed at any moment, the same command goes on, and ends with the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from colour import colour_model, png

from pipeline.core.atomic import write_sha256

pytestmark = pytest.mark.slow
N_IMAGES = 300


@dataclass(frozen=True)
class Bench:
    """A model, images, the table that an undisturbed run writes and how long it takes."""

    folder: Path
    expected: bytes
    seconds: float

    @property
    def out(self) -> Path:
        return self.folder / "out.csv"

    def start(self) -> "subprocess.Popen[bytes]":
        words = ["-m", "pipeline.inference", "model.onnx", "images", "images.zip", "--out"]
        return subprocess.Popen(
            [sys.executable, *words, self.out.name],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def finish(self) -> str:
        process = self.start()
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
        assert self.out.read_bytes() == self.expected
        assert sorted(p.name for p in self.folder.glob("*out.csv*")) == ["out.csv"]
        return errors.decode()

    def trial(self, number: int) -> bool:
        """Kill once or several times, then let it end; tell whether a run went on."""
        moments = random.Random(f"{os.environ.get('FAULT_SEED', '0')} {number}")
        self.out.unlink(missing_ok=True)
        for _ in range(moments.randint(1, 3)):
            process = self.start()
            time.sleep(moments.uniform(0, 1.05) * self.seconds)
            if number % 2:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.communicate()
            assert not self.out.exists() or self.out.read_bytes() == self.expected
        return "going on" in self.finish()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("kill")
    (folder / "images").mkdir()
    (folder / "model.onnx").write_bytes(colour_model().SerializeToString())
    write_sha256(folder / "model.onnx")
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for i in range(N_IMAGES):
            content = png((i % 200, i % 7 * 9, i % 31), (150, 150)) if i % 50 else b"bad"
            (folder / "images" / f"{i}.png").write_bytes(content)
            archive.writestr(f"{i}.png", content)
    bench = Bench(folder, b"", 0.0)
    bench.start().communicate(timeout=120)
    start = time.monotonic()
    bench.start().communicate(timeout=120)
    expected = bench.out.read_bytes()
    assert expected.count(b"\n") == 1 + 2 * N_IMAGES
    return Bench(folder, expected, time.monotonic() - start)


def test_a_killed_run_goes_on(bench: Bench) -> None:
    went_on = [bench.trial(number) for number in range(3)]
    while not any(went_on) and len(went_on) < 20:  # each was killed before it had a row
        went_on.append(bench.trial(len(went_on)))
    assert any(went_on)


@pytest.mark.campaign
def test_a_hundred_killed_runs_go_on(bench: Bench, record: Callable[[str], None]) -> None:
    went_on = [bench.trial(number) for number in range(100)]
    record(
        f"{len(went_on)} of 100 ended with the same bytes; {sum(went_on)} had rows to go on from"
    )


@pytest.fixture
def record(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def show(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}")

    return show
