"""Git repositories of the project, in which commands are run."""

import hashlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tiny import TINY, copy_project


def without_dvc(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what DVC tells its stages."""
    return {key: value for key, value in environment.items() if not key.startswith("DVC_")}


class Clone:
    """A Git repository of the project with small parameters."""

    def __init__(self, root: Path, environment: dict[str, str] | None = None) -> None:
        self.root = root
        self.environment = environment or {}

    def run(self, *command: str, fails: bool = False, **environment: str) -> str:
        """Run a command in the clone; return what it printed."""
        # A file, not a pipe: DVC's queue workers, which go on, would hold its other end.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                command,
                cwd=self.root,
                env={**without_dvc(os.environ), **self.environment, **environment},
                text=True,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=False,
            )
            said.seek(0)
            text = said.read()
        assert (done.returncode != 0) == fails, text
        return text

    def end_workers(self) -> None:
        """End DVC's queue workers; one of two at times waits forever for its own shutdown."""
        for process in Path("/proc").iterdir():
            with suppress(OSError):
                command = (process / "cmdline").read_bytes()
                if b"dvc" in command and (process / "cwd").resolve() == self.root.resolve():
                    os.kill(int(process.name), signal.SIGKILL)

    def commit(self, message: str) -> None:
        """Commit everything that Git does not ignore."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def lock(self) -> str:
        """Return the sha256 of dvc.lock."""
        return hashlib.sha256((self.root / "dvc.lock").read_bytes()).hexdigest()

    def edit(self, path: str) -> None:
        """Change a Python file without changing what it does."""
        file = self.root / path
        file.write_text(file.read_text() + "\n# edited\n")

    def stale(self) -> set[str]:
        """Return the stages that `dvc repro` would run."""
        return set(json.loads(self.run("dvc", "status", "--json")))


def make_clone(root: Path, *, values: dict[str, str] = TINY) -> Clone:
    """Copy the project into a new Git repository and commit it."""
    clone = Clone(copy_project(root, values=values))
    clone.run("git", "init", "-q", "-b", "main")
    clone.run("git", "config", "user.name", "Test")
    clone.run("git", "config", "user.email", "test@example.invalid")
    clone.commit("start")
    return clone
