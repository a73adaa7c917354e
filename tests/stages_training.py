"""A small project at the door of the train stage, and what an undisturbed run makes of it."""

import hashlib
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from faults.projects import Ended, Project, Running
from tiny import TINY, copy_project

MADE = ("models/model.pt", "models/model.pt.sha256", "reports/train")
SMALL = {
    **TINY,
    "train.lr": "0.01",
    "train.epochs": "4",
    "train.batch_size": "32",
    "runtime.threads": "1",
    "runtime.checkpoint_seconds": "0",
}
"""Twelve steps in a second or two, a checkpoint after each of them."""
STEPS = 3
"""Steps of an epoch."""
STARTED = "running on"
"""What the stage logs when imports are done and the training is about to begin."""


@dataclass
class TrainBench:
    """The train stage, again and again on the same data."""

    project: Project
    want: dict[str, str] = field(default_factory=dict)
    """Hash of each file of an undisturbed run."""
    seconds: float = 0.0
    """Time of an undisturbed run after its imports."""

    def measure(self) -> None:
        """Run the stage undisturbed; the last epoch must be among those that matter."""
        self.forget()
        running = self.project.start("train")
        wait_for(running, STARTED)
        start = time.monotonic()
        self.ended_well(running)
        self.seconds = time.monotonic() - start
        self.want = self.found()
        assert json.loads((self.root / "reports/train/metrics.json").read_text())["kept_epoch"] > 2

    @property
    def root(self) -> Path:
        """Top folder of the copy."""
        return self.project.root

    @property
    def checkpoints(self) -> list[Path]:
        """What lies in the checkpoint folder, newest first."""
        return sorted(self.root.glob(".ckpt/train/*/0*.pt"), reverse=True)

    def forget(self) -> None:
        """Remove what the stage makes, as DVC does before it runs it, and checkpoints."""
        self.remove_outs()
        shutil.rmtree(self.root / ".ckpt", ignore_errors=True)

    def remove_outs(self) -> None:
        """Remove the outs alone."""
        for name in MADE[:2]:
            (self.root / name).unlink(missing_ok=True)
        shutil.rmtree(self.root / MADE[2], ignore_errors=True)

    def found(self) -> dict[str, str]:
        """Return the hash of each file that the stage left."""
        names = [n for n in MADE[:2] if (self.root / n).is_file()]
        names += [str(p.relative_to(self.root)) for p in (self.root / MADE[2]).glob("*")]
        return {n: hashlib.sha256((self.root / n).read_bytes()).hexdigest() for n in names}

    def ended_well(self, running: Running) -> Ended:
        """Wait for a good end."""
        ended = running.end()
        assert ended.status == 0, ended.errors
        assert "Traceback" not in ended.errors, ended.errors
        return ended

    def go_on(self) -> Ended:
        """Run the stage as DVC does after a kill; check that it ends as an undisturbed run does."""
        self.remove_outs()
        ended = self.ended_well(self.project.start("train"))
        assert self.found() == self.want, ended.errors
        assert not (self.root / ".ckpt").exists()
        assert not [p for p in self.root.rglob(".tmp-*") if p.parent.name != "tmp"]
        return ended

    def killed_after(self, seconds: float) -> Running:
        """Start the stage and kill it some time after its imports, if it still runs then."""
        running = self.project.start("train")
        wait_for(running, STARTED)
        time.sleep(seconds)
        running.kill(whole_group=True)
        return running

    def with_checkpoints(self, n: int) -> None:
        """Kill a run after its n-th step or so."""
        self.forget()
        running = self.project.start("train")
        end = time.monotonic() + 60
        while not self.checkpoints or step_number(self.checkpoints[0]) < n:
            assert time.monotonic() < end, running.errors.read_text()
            time.sleep(0.005)
        running.kill(whole_group=True)


def make_bench(packed: Project, folder: Path, values: dict[str, str] | None = None) -> TrainBench:
    """Copy a project that is packed already, and measure it."""
    shutil.copytree(packed.root, folder)
    project = Project(folder, packed.environment)
    project.configure(values or {})
    bench = TrainBench(project)
    bench.measure()
    return bench


def packed_project(folder: Path) -> Project:
    """Make a project in which everything before train is done."""
    project = Project(copy_project(folder, values=SMALL), {"DVC_ROOT": ""})
    for stage in ("download", "split", "pack", "lr_find"):
        project.run(stage)
    return project


def step_number(checkpoint: Path) -> int:
    """Return the steps done at a checkpoint, from the first epoch on."""
    epoch, step = map(int, checkpoint.name.split("-")[:2])
    return (epoch - 1) * STEPS + step


def wait_for(running: Running, text: str) -> None:
    """Wait until the stage has logged something."""
    end = time.monotonic() + 60
    while text not in running.errors.read_text(errors="replace"):
        assert running.child.poll() is None, running.errors.read_text()
        assert time.monotonic() < end
        time.sleep(0.005)
