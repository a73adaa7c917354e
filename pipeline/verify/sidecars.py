"""Every file that has a sha256 beside it, against that sha256."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.core.atomic import check_sha256
from pipeline.core.errors import ArtifactError
from pipeline.verify.finding import Finding, quoted


def sidecars_among(files: Iterable[Path]) -> list[Path]:
    """Return the checksum files among `files`."""
    return [path for path in files if path.suffix == ".sha256" and path.is_file()]


def disagreements(
    root: Path, sidecars: Iterable[Path], *, stage_of: dict[Path, str]
) -> Iterator[Finding]:
    """Yield the files that are not what the checksum beside them says.

    Args:
        root: the repository's top folder.
        sidecars: the checksum files.
        stage_of: {out: the stage that writes it}, relative to `root`.
    """
    for sidecar in sidecars:
        path = sidecar.with_suffix("")
        place = path.relative_to(root)
        stage = next((stage_of[p] for p in (place, *place.parents) if p in stage_of), "")
        try:
            check_sha256(path, stage=stage)
        except ArtifactError:
            remove = f"rm -f {quoted([place, sidecar.relative_to(root)])}"
            yield Finding(
                where=str(place),
                what=f"not what {sidecar.name} says",
                cure=f"{remove} && dvc repro {stage}".strip(),
            )
