"""A DVC repository of two stages that take no time, and what may happen to it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKE = """\
import hashlib, os, pathlib, sys, time
here = pathlib.Path("models")
if sys.argv[1] == "first":
    if os.environ.get("SLOW"):
        pathlib.Path("started").touch()
        time.sleep(120)
    content = bytes(range(256)) * 40
    (here / "a.bin").write_bytes(content)
    (here / "a.bin.sha256").write_text(hashlib.sha256(content).hexdigest() + "  a.bin\\n")
    pathlib.Path("metrics.json").write_text('{"accuracy": 1}')
else:
    (here / "b/deep").mkdir(parents=True)
    for name in ("one", "deep/two", "thr ee"):
        (here / "b" / name).write_text(name * 50)
"""
STAGES = """\
stages:
  first:
    cmd: python make.py first
    deps: [make.py]
    outs: [models/a.bin, models/a.bin.sha256]
    metrics:
    - metrics.json:
        cache: false
  second:
    cmd: python make.py second
    deps: [models/a.bin]
    outs: [models/b]
"""


def shell(root: Path, command: str) -> str:
    """Run a command as a user would, and return what it said; it must succeed."""
    path = f"PATH={Path(sys.executable).parent}:$PATH; "
    done = subprocess.run(
        path + command, shell=True, cwd=root, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="session")
def _made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("made") / "repository"
    (root / "models").mkdir(parents=True)
    (root / "make.py").write_text(MAKE)
    (root / "dvc.yaml").write_text(STAGES)
    shell(root, "git init -q -b main && dvc init -q && dvc config core.analytics false")
    shell(root, "git config user.name Test && git config user.email test@example.invalid")
    shell(root, "dvc repro -q && printf 'started\\n' >> .gitignore && git add -A")
    shell(root, "git commit -qm start")
    return root


@pytest.fixture
def repository(_made, tmp_path, monkeypatch) -> Path:
    """Return a copy of the repository, which is the current folder."""
    root = tmp_path / "repository"
    shutil.copytree(_made, root)
    monkeypatch.chdir(root)
    return root
