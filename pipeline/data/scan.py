"""Look at every image of the archive once: which are usable, and what they are."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.core.archive import Member, read_place
from pipeline.core.artifacts import Rejected
from pipeline.core.errors import ImageError
from pipeline.core.workers import supervised_map
from pipeline.data.look import Look, look_at
from pipeline.imaging import decode as gate

REASONS = (*gate.REASONS, "decoder_failed", "duplicate", "conflict", "dropped")
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
    look: Look
    """What near duplicates are found by."""

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
    usable: list[Scanned] = []
    rejected: list[Rejected] = []
    scanned = supervised_map(partial(_scan, path), members, workers=workers, lost=_lost)
    for image in scanned:
        if isinstance(image, Scanned):
            usable.append(image)
        else:
            rejected.append(image)
        on_progress(1)
    return usable, rejected


def _lost(member: Member, why: str) -> Scanned | Rejected:
    detail = f"the process that decoded it {why}, twice"
    return Rejected(path=member.path, source=member.source, reason="decoder_failed", detail=detail)


def _scan(archive_path: Path, member: Member) -> Scanned | Rejected:
    content = read_place(archive_path, member.place)
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
        look=look_at(image),
    )
