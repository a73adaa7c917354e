"""What local files looked like when they were last read, so that a change does not go unnoticed.

DVC cannot watch a path that is only a parameter. The record lies in DVC's folder for temporary
files: it is of this machine alone, no output of a stage and not in Git.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.core.atomic import write_json
from pipeline.core.errors import ArtifactError

log = logging.getLogger(__name__)
RECORD = Path(".dvc/tmp/source-seen.json")
WEIGHTS_RECORD = Path(".dvc/tmp/weights-seen.json")
CURE = "run: python -m pipeline.sources.pin && dvc repro"
WEIGHTS_CURE = "run: dvc repro --force --single-item lr_find train && dvc repro"


def record_seen(sources: Mapping[Path, Mapping[str, Any]], *, record: Path = RECORD) -> None:
    """Write what sources look like, replacing what was known; nothing outside a DVC repository.

    Args:
        sources: for each path what `look` said before it was read, and its `sha256`.
        record: where; `WEIGHTS_RECORD` for a file of weights, which needs no sha256.
    """
    if not record.parents[1].is_dir():
        return
    if not sources and not record.exists():
        return
    content = {os.path.abspath(path): seen for path, seen in sources.items()}  # noqa: PTH100
    try:
        write_json(record, content)
    except ArtifactError as error:  # what was read is there all the same
        log.warning("%s; a change of %s may go unnoticed", error, ", ".join(content))


def warn_of_changes(sha256: str | Sequence[str | None] | None) -> None:
    """Log one line for each source that does not look as it did; this takes milliseconds.

    Args:
        sha256: `data.sha256` of params.yaml, which may have been set back.
    """
    pinned = {sha256} if sha256 is None or isinstance(sha256, str) else set(sha256)
    for path, seen in _read(RECORD).items():
        now = {**look(Path(path)), "sha256": seen.get("sha256")}
        if now != seen or (None not in pinned and now["sha256"] not in pinned):
            log.warning("data.source: %s changed since it was brought in; %s", path, CURE)


def warn_of_weights(weights: str) -> None:
    """Log one line if the file of weights that the last training began with looks different now.

    Args:
        weights: `model.weights` of params.yaml; another name is a change that DVC sees.
    """
    path = os.path.abspath(weights)  # noqa: PTH100
    seen = _read(WEIGHTS_RECORD).get(path)
    if seen is not None and look(Path(path)) != seen:
        log.warning("model.weights: %s changed since the training; %s", weights, WEIGHTS_CURE)


def look(path: Path) -> dict[str, Any]:
    """Return what tells at a glance whether a file, or anything in a folder, changed.

    Names, total size and the newest time of the files; hidden ones do not count.
    """
    names = hashlib.sha256()
    n_bytes = newest_ns = 0
    for name, status in sorted(_files(path)):
        # Below the source alone: `project/../photos` and `photos` are one folder.
        names.update(os.fsencode(name[len(os.fspath(path)) :]) + b"\0")
        n_bytes += status.st_size
        newest_ns = max(newest_ns, status.st_mtime_ns, status.st_ctime_ns)
    return {"names": names.hexdigest(), "bytes": n_bytes, "newest_ns": newest_ns}


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield path and status of a file, or of every file in a folder that is not hidden."""
    waiting = [os.fspath(path)]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as found:
                children = [child for child in found if not child.name.startswith(".")]
        except NotADirectoryError:
            yield here, os.stat(here)  # noqa: PTH116
            continue
        except OSError:  # gone, or no permission: the files below are missed, which is a change
            continue
        for child in children:
            if child.is_dir(follow_symlinks=False):
                waiting.append(child.path)
            elif child.is_file(follow_symlinks=False):
                with suppress(OSError):
                    yield child.path, child.stat(follow_symlinks=False)


def _read(record: Path) -> dict[str, Any]:
    """Return a record of this folder, else of the repository a queued experiment came from."""
    for root in (Path(), Path(os.environ.get("DVC_ROOT", "."))):
        try:
            if (root / record).is_file():
                content = json.loads((root / record).read_text())
                return {path: dict(seen) for path, seen in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):  # not ours to mend
            continue
    return {}
