"""One trial: run a stage, kill it, look at what lies there, run it again, look again."""

import os
import random
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from faults.projects import NOTHING, REMOVED_FIRST, Project, Running

KILLER = """\
import os, runpy, signal, sys
root, at, seen = os.getcwd(), int(os.environ["KILL_AT"]), 0
sys.path[0] = root
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "os.chmod"}
def changes(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        path, mode, flags = os.path.abspath(os.fsdecode(args[0])), args[1], args[2]
        writes = set(mode) & set("wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR)
        return writes and path.startswith(root)
    return event in CHANGES
def count(event, args):
    global seen
    if changes(event, args) and "__pycache__" not in str(args):
        step()
def step():
    global seen
    seen += 1
    if seen == at:
        os.killpg(os.getpgid(0), signal.SIGKILL)
def stepped(function):
    def call(*args):
        step()
        result = function(*args)
        step()
        return result
    return call
sys.addaudithook(count)
os.fsync = stepped(os.fsync)
try:
    runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
finally:
    print("STEPS", seen, file=sys.stderr)
"""
"""Runs a stage that is killed right before its n-th change to the file system."""


@dataclass
class Bench:
    """A project at the door of one stage, and what that stage makes of it."""

    project: Project
    stage: str
    old: dict[str, bytes]
    """Artifacts of an earlier, different run, as {name: content}."""
    new: dict[str, str] = field(default_factory=dict)
    """Hash of each artifact of an undisturbed run."""
    names: set[str] = field(default_factory=set)
    """All that lies in data/ and reports/ after an undisturbed run."""
    seconds: float = 0.0
    """How long an undisturbed run takes."""

    def measure(self) -> None:
        """Run the stage undisturbed."""
        self.project.run(self.stage)  # compiles what is imported
        self.project.forget(self.stage)
        times = [self.project.run(self.stage).seconds for _ in range(3)]
        self.seconds = statistics.median(times)
        self.new, self.names = self.project.found(self.stage), self.project.names()
        assert NOTHING not in self.new.values()
        assert self.project.hidden() == set()

    def prepare(self, *, replacing: bool) -> dict[str, str]:
        """Put an older run's artifacts into place, or none; return their hashes."""
        self.project.forget(self.stage)
        for name, content in self.old.items() if replacing else ():
            path = self.project.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return self.project.found(self.stage)

    def check_after_kill(self, before: dict[str, str]) -> None:
        """Check that each artifact is the old one or the new one, or absent where it may be."""
        found = self.project.found(self.stage)
        for name, value in found.items():
            may_be = {before[name], self.new[name]} | (
                {NOTHING} if name in REMOVED_FIRST else set()
            )
            assert value in may_be, f"{name} is a mix, or was lost"
        manifest = next(iter(found))
        if found[manifest] != NOTHING:
            # Whoever finds the manifest finds the files that were written with it.
            assert found in (before, self.new), f"{manifest} and its companions are of two runs"

    def check_next_run(self, killed: Running) -> None:
        """Check that running again ends well, with the same bytes and nothing beside them."""
        running = self.project.start(self.stage)
        ended = running.end()
        assert ended.status == 0, ended.errors
        assert "Traceback" not in ended.errors, ended.errors
        assert self.project.found(self.stage) == self.new
        assert self.project.names() == self.names
        assert killed.wait_until_gone(10) == []
        assert running.wait_until_gone(10) == []

    def trial(self, number: int) -> None:
        """Kill the stage at a random moment, which follows from seed, stage and number."""
        random_ = random.Random(f"{os.environ.get('FAULT_SEED', '0')} {self.stage} {number}")
        # Half of the moments in the second half, where the files are written.
        moment_s = self.seconds * random_.choice((random_.uniform(0, 1), random_.uniform(0.5, 1)))
        before = self.prepare(replacing=number % 2 == 1)
        running = self.project.start(self.stage)
        time.sleep(moment_s)
        running.kill(whole_group=number % 4 < 2)
        self.check_after_kill(before)
        self.check_next_run(running)

    def steps(self, script: Path) -> int:
        """Count the changes to the file system that the stage makes when it replaces something."""
        self.prepare(replacing=True)
        ended = self.project.start(self.stage, script=script, KILL_AT="0").end()
        assert ended.status == 0, ended.errors
        return int(ended.errors.rpartition("STEPS ")[2])

    def kill_before_step(self, script: Path, step: int) -> None:
        """Kill the stage right before one of its changes."""
        before = self.prepare(replacing=True)
        running = self.project.start(self.stage, script=script, KILL_AT=str(step))
        ended = running.end()
        assert ended.status == -9, ended.errors
        self.check_after_kill(before)
        self.check_next_run(running)
