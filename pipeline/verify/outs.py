"""Every out of dvc.lock against its md5, here and in DVC's cache."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.verify.cache import Cache, is_sound, listing
from pipeline.verify.digests import Digests, files_below
from pipeline.verify.finding import Finding, quoted
from pipeline.verify.git import at_head
from pipeline.verify.lockfile import Out


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An out and what was found of it."""

    out: Out
    wrong: str
    """What is wrong with it here; nothing if it is what dvc.lock says."""
    there: bool
    """Whether there is anything at its path."""
    bad: tuple[Path, ...]
    """Its objects in the cache that are damaged or missing, as far as that was looked at."""
    files: Mapping[Path, Path]
    """{object: the file here that has the same content}, where that is known."""


def files_of(root: Path, outs: Iterable[Out]) -> list[Path]:
    """Return every file of the outs that is there."""
    return [
        file
        for path in (root / out.path for out in outs)
        for file in (files_below(path) if path.is_dir() else [path])
    ]


def objects_of(cache: Cache, outs: Iterable[Out]) -> list[Path]:
    """Return the cache's objects of the outs; a folder has one for its listing, which may lie."""
    found = []
    for out in outs:
        found.append(cache.path(out.md5))
        if out.is_folder:
            try:
                found += [cache.path(md5) for md5 in listing(found[-1]).values()]
            except (OSError, ValueError, KeyError, TypeError):  # judged by its md5 later
                continue
    return found


def check(out: Out, *, root: Path, cache: Cache, digests: Digests, with_cache: bool) -> Checked:
    """Compare an out with dvc.lock.

    Args:
        out: one of dvc.lock.
        root: the top folder of the repository.
        cache: where DVC has it too.
        digests: of the files here, and with the cache of its objects.
        with_cache: without, an out that is wrong here is only looked for in the cache, so that
            the cure is one that can work.
    """
    path = root / out.path
    if not out.is_folder:
        wrong = _file_is_wrong(path, out.md5, digests)
        wanted = {Path(): out.md5}
    else:
        wanted = _listing(out, cache, digests)
        wrong = _folder_is_wrong(path, out.md5, wanted, digests)
    bad: list[Path] = []
    if out.cached and with_cache:
        hashes = dict.fromkeys([out.md5, *wanted.values()])
        bad = [p for p in map(cache.path, hashes) if not is_sound(p, digests)]
    elif out.cached and wrong:
        bad = [p for p in dict.fromkeys(objects_of(cache, [out])) if not p.is_file()]
    files = {cache.path(md5): path / name for name, md5 in wanted.items()}
    return Checked(out=out, wrong=wrong, there=path.exists(), bad=tuple(bad), files=files)


def findings(checks: Iterable[Checked], *, root: Path, has_remote: bool) -> Iterator[Finding]:
    """Yield what is wrong with the outs; one line for all if none of them is here."""
    checks = list(checks)
    kept = [c for c in checks if c.out.cached]
    if kept and not any(c.there for c in kept):
        whole = not any(c.bad for c in kept)
        fetch = "dvc pull" if has_remote else "dvc repro"
        yield Finding(
            where="dvc.lock",
            what=f"none of its {len(kept)} outs is here",
            cure="dvc checkout" if whole else fetch,
        )
        checks = [c for c in checks if not c.out.cached]
    lost = [one for one in checks if one.wrong and one.bad]
    again = "dvc repro --pull" if has_remote else "dvc repro"
    for stage in dict.fromkeys(one.out.stage for one in lost):
        yield _lost([one for one in lost if one.out.stage == stage], f"{again} {stage}")
    for one in checks:
        if one.wrong and not one.bad:
            yield _wrong(one, root)
        elif one.bad and not one.wrong:
            yield _bad(one, f"{again} {one.out.stage}")


def _lost(those: Sequence[Checked], again: str) -> Finding:
    """Return the finding of one stage's outs that are wrong here and in the cache."""
    objects = dict.fromkeys(path for one in those for path in one.bad)
    paths = [one.out.path for one in those]
    return Finding(
        where=", ".join(map(str, paths)),
        what=f"{those[0].wrong}, and in DVC's cache {_count(objects)}",
        cure=f"rm -rf {quoted([*paths, *objects])} && {again}",
    )


def _wrong(one: Checked, root: Path) -> Finding:
    """Return the finding of an out that DVC's cache or Git has."""
    path = one.out.path
    remove = f"rm -rf {quoted([path])} && " if one.there else ""
    if one.out.cached:
        cure = f"{remove}dvc checkout {quoted([path])}"
    else:
        cure = _from_git(one.out, root, remove)
    return Finding(where=str(path), what=one.wrong, cure=cure)


def _bad(one: Checked, again: str) -> Finding:
    """Return the finding of an out that is sound here, but not in the cache."""
    cure = f"rm -f {quoted(one.bad)} && {again}"
    if all(p in one.files for p in one.bad):  # not a folder's listing, which is no file here
        cure = " && ".join(f"install -D -m 444 {quoted([one.files[p], p])}" for p in one.bad)
    what = f"sound, but in DVC's cache {_count(one.bad)}"
    return Finding(where=str(one.out.path), what=what, cure=cure)


def _count(objects: Collection[Path]) -> str:
    n = len(objects)
    return f"{n} of its objects {'is' if n == 1 else 'are'} damaged or missing"


def _from_git(out: Out, root: Path, remove: str) -> str:
    """Return the cure of a metric, which the last commit may have."""
    before = at_head(root, out.path)
    if before is not None and _md5(before) == out.md5:
        return f"git checkout HEAD -- {quoted([out.path])}"
    return f"{remove}dvc repro {out.stage}"


def _listing(out: Out, cache: Cache, digests: Digests) -> dict[Path, str]:
    """Return {path in the folder: md5} as the cache has it; nothing if that was not read."""
    path = cache.path(out.md5)
    return listing(path) if is_sound(path, digests) else {}


def _file_is_wrong(path: Path, md5: str, digests: Digests) -> str:
    if not path.exists():
        return "missing"
    if path.is_dir():
        return "a folder, where a file should be"
    found = digests[path]
    return "" if found == md5 else f"md5 is {found}, dvc.lock says {md5}" if found else "unreadable"


def _folder_is_wrong(path: Path, md5: str, wanted: Mapping[Path, str], digests: Digests) -> str:
    if not path.exists():
        return "missing"
    found = {p.relative_to(path): digests[p] for p in files_below(path)}
    if _folder_md5(found) == md5:
        return ""
    if not wanted:
        return f"another folder than dvc.lock's {md5}"
    parts = (
        ("missing", sorted(set(wanted) - set(found))),
        ("changed", sorted(p for p in set(wanted) & set(found) if wanted[p] != found[p])),
        ("too many", sorted(set(found) - set(wanted))),
    )
    return ", ".join(f"{len(names)} {word} ({names[0]})" for word, names in parts if names)


def _folder_md5(files: Mapping[Path, str | None]) -> str:
    """Return the hash that DVC gives a folder: that of its listing, in JSON."""
    rows = sorted((path.as_posix(), md5) for path, md5 in files.items())
    content = json.dumps([{"md5": md5, "relpath": path} for path, md5 in rows], sort_keys=True)
    return f"{_md5(content.encode())}.dir"


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
