"""Copies of the project whose stages are started, killed and looked at from outside."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tiny import with_values

ARTIFACTS = {
    "download": ("data/raw.zip",),
    "split": ("data/split.csv", "data/rejected.csv", "reports/data/summary.json"),
    "pack": ("data/packed",),
}
"""What each stage writes; a folder counts as one artifact."""
REMOVED_FIRST = frozenset({"data/split.csv"})
"""What a stage may remove before it writes the files that belong to it, and writes again last."""
MARK = "FAULT_TRIAL"
"""An environment variable that every process of a trial inherits, by which it is found."""
PATIENCE_S = 60
NOTHING = "absent"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a stage ended."""

    status: int
    errors: str
    seconds: float


@dataclass
class Running:
    """A stage that runs in a process group of its own."""

    child: subprocess.Popen[bytes]
    errors: Path
    mark: str
    started: float = field(default_factory=time.monotonic)

    def kill(self, *, whole_group: bool) -> None:
        """Send SIGKILL to the stage, to its workers too or not."""
        if whole_group:
            os.killpg(self.child.pid, signal.SIGKILL)
        else:
            self.child.kill()
        self.child.wait(PATIENCE_S)

    def signal(self, number: int) -> None:
        """Send a signal to the whole group, as a terminal does at Ctrl-C."""
        os.killpg(self.child.pid, number)

    def end(self, timeout_s: float = PATIENCE_S) -> Ended:
        """Wait for the end."""
        status = self.child.wait(timeout_s)
        seconds = time.monotonic() - self.started
        return Ended(status, self.errors.read_text(errors="replace"), seconds)

    def processes(self) -> list[int]:
        """Return the processes of this run that are alive."""
        return [pid for pid in _pids() if f"{MARK}={self.mark}".encode() in _environment(pid)]

    def wait_until_gone(self, timeout_s: float) -> list[int]:
        """Wait for the run's processes to end; return those that do not, and end them."""
        end = time.monotonic() + timeout_s
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.02)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left


@dataclass
class Project:
    """A copy of the project."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    """Added to that of every stage."""

    def configure(self, values: dict[str, str]) -> None:
        """Change `section.key` values of params.yaml."""
        params = self.root / "params.yaml"
        params.write_text(with_values(params.read_text(), values))

    def start(
        self,
        stage: str,
        *,
        prefix: tuple[str, ...] = (),
        script: Path | None = None,
        before: Callable[[], None] | None = None,
        **environment: str,
    ) -> Running:
        """Start `python -m stages.STAGE`.

        Args:
            stage: its name.
            prefix: a command that runs the command.
            script: a Python file that runs the stage in place of `-m`.
            before: called in the child before it becomes the stage.
            environment: added for this run.
        """
        mark, module = uuid.uuid4().hex, f"stages.{stage}"
        errors = self.root.parent / f"{self.root.name}-{mark}.stderr"
        with errors.open("wb") as file:
            child = subprocess.Popen(
                [*prefix, sys.executable, *([str(script)] if script else ["-m"]), module],
                cwd=self.root,
                env={**os.environ, "NO_PROXY": "*", **self.environment, **environment, MARK: mark},
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=before,
            )
        return Running(child, errors, mark)

    def run(self, stage: str) -> Ended:
        """Run a stage to its end, which must be a good one."""
        ended = self.start(stage).end()
        assert ended.status == 0, ended.errors
        return ended

    def found(self, stage: str) -> dict[str, str]:
        """Return the hash of each artifact of a stage, NOTHING where there is none."""
        return {name: tree_hash(self.root / name) for name in ARTIFACTS[stage]}

    def names(self) -> set[str]:
        """Return all that lies in data/ and reports/."""
        paths = (path for top in ("data", "reports") for path in (self.root / top).rglob("*"))
        return {str(path.relative_to(self.root)) for path in paths}

    def hidden(self) -> set[str]:
        """Return the hidden and temporary names in data/ and reports/ that Git does not track."""
        names = self.names()
        return {n for n in names if Path(n).name.startswith(".") and not n.endswith(".gitignore")}

    def forget(self, stage: str) -> None:
        """Remove the artifacts of a stage."""
        for name in ARTIFACTS[stage]:
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def tree_hash(path: Path) -> str:
    """Return the sha256 over the names and bytes of a file or folder."""
    if not path.exists():
        return NOTHING
    digest = hashlib.sha256()
    for file in sorted([path] if path.is_file() else path.rglob("*")):
        digest.update(f"{file.relative_to(path)}\0".encode())
        if file.is_file():
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def one_line_error(ended: Ended, stage: str) -> str:
    """Return the line that a stage failed with, which must be the only one of its kind."""
    assert ended.status == 1, ended
    assert "Traceback" not in ended.errors, ended.errors
    lines = [line for line in ended.errors.splitlines() if not line.startswith(("INFO", "WARNING"))]
    assert len(lines) == 1, ended.errors
    assert lines[0].startswith(f"{stage}: error: "), lines
    return lines[0]


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _environment(pid: int) -> bytes:
    """Return a live process's environment; a zombie has none."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
