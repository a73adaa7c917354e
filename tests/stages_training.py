"""A small project at the door of the train stage, and what an undisturbed run makes of it."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

from faults.projects import MARK, PATIENCE_S, Ended, Project, Running
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


SERVER = """\
import json, os, runpy, sys
sys.path[0] = os.getcwd()
import torch, stages.train
del sys.modules["stages.train"]  # run again in each child, as __main__
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child:
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)
        continue
    os.setsid()
    errors = os.open(order["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor in (1, 2):
        os.dup2(errors, descriptor)
    os.environ.update(order["environment"])
    if order["script"]:
        sys.argv = [order["script"], "stages.train"]
        runpy.run_path(order["script"], run_name="__main__")
    else:
        sys.argv = ["stages.train"]
        runpy.run_module("stages.train", run_name="__main__", alter_sys=True)
    os._exit(0)
"""
"""Imports torch once, then forks a process for each run: most of a short run is imports."""


class Child:
    """A process of the server, waited for as if it were a `subprocess.Popen`."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        assert server.stdout is not None
        self.pid, self._server = int(server.stdout.readline()), server
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, None as long as it runs."""
        assert self._server.stdout is not None
        if self._status is None and select([self._server.stdout], [], [], 0)[0]:
            self._status = os.waitstatus_to_exitcode(int(self._server.stdout.readline()))
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status."""
        assert self._server.stdout is not None
        if self._status is None:
            assert select([self._server.stdout], [], [], timeout)[0], "does not end"
        status = self.poll()
        assert status is not None
        return status

    def kill(self) -> None:
        """Send SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)


class ForkingProject(Project):
    """A project whose train stage is forked off a process that has torch already."""

    server: subprocess.Popen[str] | None = None

    def start(self, stage: str, **options: Any) -> Running:
        """Start the train stage; other stages as ever."""
        script, mark = options.pop("script", None), uuid.uuid4().hex
        if stage != "train" or "before" in options:
            return super().start(stage, script=script, **options)
        if self.server is None:
            self.server = subprocess.Popen(
                [sys.executable, "-c", SERVER],
                cwd=self.root,
                env={**os.environ, **self.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            assert self.server.stdout is not None
            assert self.server.stdout.readline() == "ready\n"
        errors = self.root.parent / f"{self.root.name}-{mark}.stderr"
        errors.touch()
        order = {
            "errors": str(errors),
            "script": str(script) if script else None,
            "environment": {**options, MARK: mark},
        }
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(order) + "\n")
        return Running(Child(self.server), errors, mark)  # type: ignore[arg-type]

    def close(self) -> None:
        """End the server."""
        if self.server is not None:
            self.server.communicate()
            self.server = None


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
        """Start the stage and kill it some time after its imports, sooner if it ended by then."""
        while True:
            running = self.project.start("train")
            wait_for(running, STARTED)
            time.sleep(seconds)
            with suppress(ProcessLookupError):
                running.kill(whole_group=True)
            if running.child.wait(PATIENCE_S) == -signal.SIGKILL:
                return running
            self.forget()
            seconds *= 0.7

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
    project = ForkingProject(folder, packed.environment)
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
