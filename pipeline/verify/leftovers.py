"""What killed processes left: locks of the dead, and files that nobody is writing any more.

Experiments of DVC's queue work in folders of their own, so that they keep nobody from working here,
but they share the cache and a lock: while one is at work, these two are left alone.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.core.atomic import TEMPORARY_PREFIX
from pipeline.verify.cache import Cache
from pipeline.verify.finding import Finding, quoted

EXPERIMENTS = Path(".dvc/tmp/exps")
"""In which every experiment of the queue has a folder to work in."""
RWLOCK, QUEUE_RWLOCK = Path(".dvc/tmp/rwlock"), EXPERIMENTS / "rwlock"
HARDLINKS = tuple(Path(".dvc/tmp", name) for name in ("lock", "rwlock.lock"))
"""Files that are locks by being there, where `core.hardlink_lock` is set."""
SKIPPED = frozenset({".git", ".dvc", ".venv", "__pycache__"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worker:
    """A process of DVC, or a stage."""

    pid: int
    words: list[str]
    """Its command line."""
    folder: Path
    """The one that it works in."""


def processes_at_work(root: Path) -> list[str]:
    """Return what DVC and the stages are doing in this folder now: `process 12 (dvc repro)`."""
    return [
        f"process {worker.pid} ({' '.join(_brief(worker.words))})"
        for worker in _workers()
        if worker.folder == root.resolve()
    ]


def experiments_at_work(root: Path) -> bool:
    """Tell whether an experiment of this repository's queue is running."""
    folder = (root / EXPERIMENTS).resolve()
    return any(folder in worker.folder.parents for worker in _workers())


def left_by_the_dead(root: Path, cache: Cache | None) -> list[Finding]:
    """Return all that killed processes left; no DVC may be running in this folder.

    Args:
        root: the top folder of the repository.
        cache: None leaves it out.
    """
    shared = [*_wrong_rwlocks(root, QUEUE_RWLOCK), *_killed_copies(cache)]
    # Looked for afterwards: whoever wrote these files and is gone by now has finished them.
    if shared and experiments_at_work(root):
        shared = []
    return [
        *_wrong_rwlocks(root, RWLOCK),
        *_hardlinks_of_the_dead(root),
        *_temporary_files(root),
        *shared,
    ]


def _killed_copies(cache: Cache | None) -> Iterator[Finding]:
    """Yield what a DVC that was killed left in the middle of copying into the cache."""
    for path in cache.leftovers() if cache else []:
        yield Finding(
            where=str(path),
            what="left by a DVC that was killed",
            cure=f"rm -f {quoted([path])}",
        )


def _wrong_rwlocks(root: Path, name: Path) -> Iterator[Finding]:
    """Yield what would keep DVC from running."""
    if what := _rwlock_is_wrong(root / name):
        yield Finding(where=str(name), what=what, cure=f"rm -f {name}")


def _hardlinks_of_the_dead(root: Path) -> Iterator[Finding]:
    """Yield the locks that keep DVC waiting for nobody."""
    for name in HARDLINKS:
        if _claimed_by_the_dead(root / name):
            what = "held by a process of this machine that is gone"
            yield Finding(where=str(name), what=what, cure=f"rm -f {name}")


def _temporary_files(root: Path) -> Iterator[Finding]:
    """Yield what interrupted atomic writes left, as far as nobody is writing it."""
    for here, folders, files in os.walk(root):
        left = [n for n in (*folders, *files) if n.startswith(TEMPORARY_PREFIX)]
        folders[:] = [n for n in folders if n not in SKIPPED and n not in left]
        for path in (Path(here, name) for name in sorted(left)):
            if not _is_held(path):
                place = path.relative_to(root)
                yield Finding(
                    where=str(place),
                    what="left by a write that was killed",
                    cure=f"rm -rf {quoted([place])}",
                )


def _workers() -> Iterator[_Worker]:
    """Yield DVC's processes and the stages, those of every repository."""
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.pid != os.getpid() and _works(words):
            with suppress(psutil.Error, OSError):  # it has ended, or is not ours
                yield _Worker(pid=process.pid, words=words, folder=Path(process.cwd()))


def _works(words: list[str]) -> bool:
    """Tell whether a command line is DVC's or a stage's; queue workers work elsewhere."""
    if "queue-worker" in words or "daemon" in words:
        return False
    names = [Path(word).name for word in words[:2]]
    module = words[words.index("-m") + 1 :][:1] if "-m" in words else []
    return "dvc" in names or any(m == "dvc" or m.startswith("stages.") for m in module)


def _brief(words: list[str]) -> list[str]:
    """Return a command line as people type it."""
    start = next((k for k, word in enumerate(words[:2]) if Path(word).name == "dvc"), 0)
    return [Path(words[start]).name, *words[start + 1 :]]


def _rwlock_is_wrong(path: Path) -> str:
    try:
        text = path.read_text()
    except OSError:
        return ""
    try:
        content = json.loads(text)
        users = [*content.get("write", {}).values()]
        users += [user for readers in content.get("read", {}).values() for user in readers]
        pids = sorted({int(user["pid"]) for user in users})
    except (ValueError, TypeError, KeyError, AttributeError):
        return "torn, and DVC will not run" if text else "empty, and DVC will not run"
    taken = [pid for pid in pids if _is_younger(pid, path)]
    return f"names process {taken[0]}, by now another one, and DVC will not run" if taken else ""


def _is_younger(pid: int, path: Path) -> bool:
    """Tell whether a process began after a file was written: its number was another one's then.

    The dead need no cure: DVC forgets them by itself.
    """
    try:
        return float(psutil.Process(pid).create_time()) > path.stat().st_mtime
    except (psutil.Error, OSError):
        return False


def _claimed_by_the_dead(path: Path) -> bool:
    """Tell whether a lock of flufl.lock names a dead process: `file|host|pid|number`."""
    try:
        fields = path.read_text().strip().split("|")
    except (OSError, ValueError):
        return False
    if len(fields) != 4 or fields[1] != socket.gethostname() or not fields[2].isdigit():
        return False
    return not bool(psutil.pid_exists(int(fields[2])))


def _is_held(path: Path) -> bool:
    """Tell whether a process is writing a temporary file or folder: it then holds its lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False
