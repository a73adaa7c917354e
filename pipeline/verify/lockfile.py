"""What dvc.lock says that the stages wrote."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import ArtifactError
from pipeline.core.yaml12 import parse_yaml
from pipeline.verify.finding import Finding
from pipeline.verify.git import at_head

LOCK, PIPELINE = Path("dvc.lock"), Path("dvc.yaml")
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
CONFLICT = re.compile(r"^(<{7}|>{7}|={7}$)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Out:
    """One file or folder that a stage wrote."""

    stage: str
    path: Path
    """Relative to the repository's top folder."""
    md5: str
    """As DVC has it: of a file's content, or `HASH.dir` of a folder's listing."""
    cached: bool
    """False for metrics, which are in Git."""

    @property
    def is_folder(self) -> bool:
        """Whether DVC knows it as a folder."""
        return self.md5.endswith(".dir")


def read_outs(root: Path) -> tuple[list[Out], list[Finding]]:
    """Read dvc.lock, and compare it with dvc.yaml.

    Returns:
        The outs that both name, and what is wrong with dvc.lock; without a readable dvc.lock no
        outs.

    Raises:
        ArtifactError: dvc.yaml cannot be read.
    """
    declared = _declared(root)
    try:
        text = (root / LOCK).read_text(encoding="utf-8")
    except FileNotFoundError:
        return [], [_torn(root, "missing")]
    except (OSError, ValueError) as error:
        return [], [_torn(root, f"cannot be read ({error})")]
    try:
        locked = parse_lock(text)
    except ValueError as error:
        return [], [_torn(root, str(error))]
    outs = [
        Out(stage=stage, path=Path(path), md5=md5, cached=declared[stage][path])
        for stage, entries in locked.items()
        for path, md5 in entries.items()
        if path in declared.get(stage, {})
    ]
    return outs, list(_disagreements(locked, declared))


def parse_lock(text: str) -> dict[str, dict[str, str]]:
    """Return {stage: {path: md5}} of dvc.lock's text.

    Raises:
        ValueError: it was cut off, or is no dvc.lock; the message says why.
    """
    if CONFLICT.search(text):
        raise ValueError("holds the conflict markers of a merge")
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"torn, not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not isinstance(content.get("stages"), dict):
        raise ValueError("torn, it holds no stages")
    return {str(name): dict(_hashes(name, stage)) for name, stage in content["stages"].items()}


def _hashes(name: str, stage: Any) -> Iterator[tuple[str, str]]:
    """Yield the outs' paths and hashes; all else must be there too, or DVC would not run."""
    if not isinstance(stage, dict) or not isinstance(stage.get("cmd"), (str, list)):
        raise ValueError(f"torn, stage {name} has no command")
    params = stage.get("params", {})
    if not isinstance(params, dict) or not all(isinstance(v, dict) for v in params.values()):
        raise ValueError(f"torn, a parameter of stage {name} is incomplete")
    for kind, word in (("deps", "a dependency"), ("outs", "an out")):
        entries = stage.get(kind, [])
        for entry in entries if isinstance(entries, list) else [None]:
            path, md5, *counts = _entry(entry)
            whole = isinstance(path, str) and MD5.fullmatch(str(md5))
            if not whole or not all(isinstance(count, int) for count in counts):
                raise ValueError(f"torn, {word} of stage {name} is incomplete")
            if kind == "outs":
                yield path, str(md5)


def _entry(entry: Any) -> tuple[Any, ...]:
    """Return path, md5 and the numbers of bytes and files, which not every entry has."""
    if not isinstance(entry, dict):
        return None, None
    return entry.get("path"), entry.get("md5"), entry.get("size", 0), entry.get("nfiles", 0)


def _declared(root: Path) -> dict[str, dict[str, bool]]:
    """Return {stage: {path: whether it is in DVC's cache}} of dvc.yaml.

    Stages that are templates (foreach, matrix) are left out.
    """
    try:
        content = parse_yaml((root / PIPELINE).read_text(encoding="utf-8"))
        stages = content["stages"].items()
        return {name: dict(_entries(stage)) for name, stage in stages if "cmd" in stage}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        brief = " ".join(str(error).split())
        raise ArtifactError(
            f"{PIPELINE}: cannot be read ({brief}); run this from the repository's top folder, or: "
            f"git checkout HEAD -- {PIPELINE}"
        ) from error


def _entries(stage: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind) or []:
            if isinstance(entry, dict):
                ((path, options),) = entry.items()
                yield path, (options or {}).get("cache", True)
            else:
                yield entry, True


def _disagreements(
    locked: Mapping[str, Mapping[str, str]], declared: Mapping[str, Mapping[str, bool]]
) -> Iterator[Finding]:
    for stage, paths in declared.items():
        lacking = [path for path in paths if path not in locked.get(stage, {})]
        if stage not in locked:
            what = f"knows no stage {stage}: it never ended, or the file was cut off"
        elif lacking:
            what = f"knows no {lacking[0]} of stage {stage}: dvc.yaml changed, or it was cut off"
        else:
            continue
        yield Finding(where=str(LOCK), what=what, cure=f"dvc repro {stage}")


def sound_at_head(root: Path) -> bytes | None:
    """Return the committed dvc.lock if it can be read, else None."""
    before = at_head(root, LOCK)
    return None if before is None or fault_of(before) else before


def fault_of(content: bytes) -> str:
    """Say in a few words why a dvc.lock cannot be read; nothing if it can."""
    try:
        parse_lock(content.decode())
    except ValueError as error:
        return str(error).partition(" (")[0]
    return ""


def _torn(root: Path, what: str) -> Finding:
    """Return the finding; the run cache knows what ran, so that little runs again."""
    back = "rm -f" if sound_at_head(root) is None else "git checkout HEAD --"
    return Finding(where=str(LOCK), what=what, cure=f"{back} {LOCK} && dvc repro")
