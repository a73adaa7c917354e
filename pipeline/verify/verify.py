"""All checks together."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import ArtifactError
from pipeline.verify.cache import Cache, damaged_objects, find_cache
from pipeline.verify.digests import Digests
from pipeline.verify.finding import Finding
from pipeline.verify.git import left_by_experiments
from pipeline.verify.leftovers import left_by_the_dead, processes_at_work
from pipeline.verify.lockfile import Out, read_outs
from pipeline.verify.outs import check, files_of, findings, objects_of
from pipeline.verify.sidecars import disagreements, sidecars_among

MODELS = Path("models")
"""Where checksums lie, whether or not dvc.lock can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was looked at, and what was found."""

    findings: tuple[Finding, ...]
    n_outs: int
    n_objects: int
    n_checksums: int
    n_bytes: int


def verify(root: Path, *, with_cache: bool) -> Verdict:
    """Check everything in a repository; nothing is changed.

    Args:
        root: its top folder; findings name paths as they follow from it.
        with_cache: whether to read every object in DVC's cache too.

    Raises:
        ArtifactError: DVC or a stage is at work there, or dvc.yaml or .dvc/config is unreadable.
    """
    if busy := processes_at_work(root):
        raise ArtifactError(
            f"{', '.join(busy)} is at work here; wait until it is done, or stop it with kill, "
            "and verify again"
        )
    outs, found = read_outs(root)
    cache = find_cache(root)
    objects = _objects(cache, outs) if with_cache else []
    files = files_of(root, outs)
    digests = Digests([*files, *objects])
    checks = [
        check(out, root=root, cache=cache, digests=digests, with_cache=with_cache) for out in outs
    ]
    found += findings(checks, root=root, has_remote=cache.has_remote)
    known = {path for one in checks for path in one.bad}
    found += damaged_objects(objects, digests, known=known)
    sidecars = _sidecars(root, files)
    named = {root / one.out.path for one in checks if one.wrong}
    unexplained = [p for p in sidecars if not named & {p, p.with_suffix(""), *p.parents}]
    stages = {out.path: out.stage for out in outs}
    found += disagreements(root, unexplained, stage_of=stages)
    found += left_by_the_dead(root, cache if with_cache else None)
    found += left_by_experiments(root)
    return Verdict(
        findings=tuple(found),
        n_outs=len(outs),
        n_objects=len(objects),
        n_checksums=len(sidecars),
        n_bytes=digests.n_bytes,
    )


def _objects(cache: Cache, outs: list[Out]) -> list[Path]:
    """Return every object in the cache, those of dvc.lock that are missing left out."""
    wanted = objects_of(cache, [out for out in outs if out.cached])
    return sorted({*cache.objects(), *(path for path in wanted if path.is_file())})


def _sidecars(root: Path, files: list[Path]) -> list[Path]:
    below = (root / MODELS).rglob("*.sha256")
    return sidecars_among(dict.fromkeys([*files, *below]))
