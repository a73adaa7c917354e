"""Look at every image of the archive once: which are usable, and what they are."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from pipeline.core.archive import Member, RawArchive
from pipeline.core.artifacts import Rejected
from pipeline.core.errors import ImageError
from pipeline.data.corrections import Corrections
from pipeline.imaging.decode import decode

CHUNK_IMAGES = 256
MIN_IMAGES_FOR_PROCESSES = 200  # below that, starting processes takes longer than the work


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """One usable image."""

    path: str
    source: str
    label: str
    sha256: str
    """Of the bytes."""
    width: int
    height: int


def scan_archive(
    path: Path, *, workers: int, on_progress: Callable[[int], None] = lambda n_images: None
) -> tuple[list[Scanned], list[Rejected]]:
    """Decode every member of data/raw.zip; each comes back in exactly one of the two lists.

    Args:
        path: the archive.
        workers: processes; the result does not depend on their number.
        on_progress: called with the number of images of each chunk.

    Raises:
        ArtifactError: the archive is missing or damaged.
    """
    with RawArchive(path) as archive:
        members = sorted(archive.members, key=lambda member: member.path)
    chunks = [
        (path, members[start : start + CHUNK_IMAGES])
        for start in range(0, len(members), CHUNK_IMAGES)
    ]
    usable: list[Scanned] = []
    rejected: list[Rejected] = []
    for chunk in _scanned(chunks, workers if len(members) >= MIN_IMAGES_FOR_PROCESSES else 1):
        usable += [image for image in chunk if isinstance(image, Scanned)]
        rejected += [image for image in chunk if isinstance(image, Rejected)]
        on_progress(len(chunk))
    return usable, rejected


def apply_corrections(
    images: Sequence[Scanned], corrections: Corrections
) -> tuple[list[Scanned], list[Rejected]]:
    """Give images the labels that people gave them, and set aside those that people dropped."""
    usable = [
        replace(image, label=corrections.relabel.get(image.path, image.label))
        for image in images
        if image.path not in corrections.drop
    ]
    dropped = [
        Rejected(path=i.path, source=i.source, reason="dropped", detail="by data/corrections.csv")
        for i in images
        if i.path in corrections.drop
    ]
    return usable, dropped


def _scanned(
    chunks: Sequence[tuple[Path, list[Member]]], workers: int
) -> Iterator[list[Scanned | Rejected]]:
    if workers == 1:
        yield from map(_scan_chunk, chunks)
        return
    # Not fork: a forked child would share locks of threads that do not exist in it.
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(_scan_chunk, chunks)


def _scan_chunk(chunk: tuple[Path, list[Member]]) -> list[Scanned | Rejected]:
    path, members = chunk
    with RawArchive(path) as archive:
        return [_scan(member, archive.read(member.path)) for member in members]


def _scan(member: Member, content: bytes) -> Scanned | Rejected:
    try:
        image = decode(content)
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
    )
