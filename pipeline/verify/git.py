"""What a killed `dvc exp run` leaves in Git: a detached HEAD, and references of its own."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pipeline.verify.finding import Finding

EXECUTION = "refs/exps/exec"
WHILE_RUNNING = tuple(f"{EXECUTION}/EXEC_{name}" for name in ("BASELINE", "BRANCH", "MERGE"))
"""What DVC removes at the end of a run; EXEC_HEAD and EXEC_APPLY stay after one that ended well."""
FORGET = f"git for-each-ref --format='delete %(refname)' {EXECUTION} | git update-ref --stdin"
MOVED = re.compile(r"checkout: moving from (\S+) to ")


def at_head(root: Path, path: Path) -> bytes | None:
    """Return a file's content in the last commit; None without one."""
    return _git(root, "show", f"HEAD:./{path.as_posix()}")


def left_by_experiments(root: Path) -> Iterator[Finding]:
    """Yield what a `dvc exp run` that was killed has not put back; no DVC may be running."""
    left = _lines(root, "for-each-ref", "--format=%(refname)", *WHILE_RUNNING)
    if not left:
        return
    what = f"left by a killed `dvc exp run`: {', '.join(name.split('/')[-1] for name in left)}"
    if _git(root, "symbolic-ref", "--quiet", "HEAD") is not None:
        yield Finding(where=EXECUTION, what=what, cure=FORGET)
        return
    branch = _branch(root)
    back = f"git symbolic-ref HEAD {shlex.quote(f'refs/heads/{branch}')}"
    yield Finding(
        where="HEAD",
        what=f"detached from {branch}, with references {what}; params.yaml may still hold "
        "what it tried (git diff HEAD), and `git stash list` changes of yours",
        cure=f"{back} && {FORGET}",
    )


def _branch(root: Path) -> str:
    """Return the branch that DVC detached HEAD from."""
    branches = _lines(root, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
    for line in _lines(root, "reflog", "--format=%gs", "HEAD"):
        if (found := MOVED.match(line)) and found[1] in branches:
            return found[1]
    at = _lines(
        root,
        *("for-each-ref", "--format=%(refname:lstrip=2)"),
        *(f"--points-at={EXECUTION}/EXEC_HEAD", "refs/heads"),
    )
    return [*at, *branches, "main"][0]


def _lines(root: Path, *arguments: str) -> list[str]:
    return (_git(root, *arguments) or b"").decode(errors="replace").splitlines()


def _git(root: Path, *arguments: str) -> bytes | None:
    """Return what Git says, None if it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
