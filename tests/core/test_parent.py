"""A stage ends with the DVC that runs it, and with nobody else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = (
    "import os, sys, time; time.sleep(float(sys.argv[1])); "
    "from pipeline.core.parent import end_with_dvc; end_with_dvc(); "
    "print('started', flush=True); time.sleep(60)"
)
PARENT = (
    "import subprocess, sys, time; child = subprocess.Popen("
    f"[sys.executable, '-c', {CHILD!r}, sys.argv[1]]); print(child.pid, flush=True); time.sleep(60)"
)


def orphan_of(*, imports_s: float, environment: dict[str, str]) -> int:
    """Start a parent and its child, kill the parent, return the child's number."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(imports_s)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    if not imports_s:
        assert parent.stdout.readline() == "started\n"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    return child


def is_gone(pid: int, *, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("imports_s", [0.0, 0.5], ids=["at work", "still importing"])
def test_a_stage_ends_when_dvc_is_killed(imports_s):
    child = orphan_of(imports_s=imports_s, environment={"DVC_STAGE": "train"})
    assert is_gone(child, within_s=20)


def test_a_stage_that_was_not_started_by_dvc_outlives_its_shell():
    child = orphan_of(imports_s=0.0, environment={})
    assert not is_gone(child, within_s=0.5)
    os.kill(child, signal.SIGKILL)
