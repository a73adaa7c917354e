"""Put back what a kill tore and DVC cannot run with, and remove what killed processes left.

DVC rewrites dvc.lock and .dvc/tmp/rwlock in place, so a kill in that moment leaves half a file, or
an empty one, and every later command of DVC fails. A stage clears away what the one before it left
in the middle of a write, but if that had its outs in place, DVC does not run the stage again.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.atomic import write_bytes
from pipeline.verify.cache import find_cache
from pipeline.verify.leftovers import left_by_the_dead, processes_at_work
from pipeline.verify.lockfile import CONFLICT, LOCK, fault_of, sound_at_head


def mend(root: Path) -> Iterator[str]:
    """Mend it, and yield a line for each thing mended; while DVC is at work, nothing is torn.

    Outs and DVC's cache are left alone, and so is a dvc.lock with the conflict markers of a merge.
    """
    if processes_at_work(root):
        return
    if what := _torn(root / LOCK):
        before = sound_at_head(root)
        if before is not None:
            write_bytes(root / LOCK, before)
            yield f"{LOCK} was {what}: the committed one is back; what ran since is in DVC's cache"
        else:
            (root / LOCK).unlink()
            yield f"{LOCK} was {what}, and Git has none: removed; what ran is in DVC's cache"
    cache = find_cache(root)
    own = cache if cache.folder == root / ".dvc/cache" else None  # not a shared one
    for finding in left_by_the_dead(root, own):
        _remove(root / finding.where)
        yield f"{finding.where}: {finding.what}; removed"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _torn(path: Path) -> str:
    """Say what is wrong with a lock file; nothing if it is sound, missing, or in a merge."""
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    return "" if CONFLICT.search(content.decode(errors="replace")) else fault_of(content)
