"""From a source to data/raw.zip: choose the files, name them safely, copy them in sorted order."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.archive import write_archive
from pipeline.core.atomic import sha256_file
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.progress import Progress, with_progress
from pipeline.sources.fetch import fetch
from pipeline.sources.layouts import label_files
from pipeline.sources.limits import LIMITS, ArchiveLimits
from pipeline.sources.listing import Entry, Listing, reading
from pipeline.sources.locations import SYNTHETIC, Remote, locate
from pipeline.sources.names import class_names, member_names
from pipeline.sources.opening import open_source
from pipeline.sources.synthetic import synthetic_images

log = logging.getLogger(__name__)
CLASSES_SHOWN = 20


def collect(
    source: str, target: Path, *, sha256: str | None, root: Path, limits: ArchiveLimits = LIMITS
) -> Counter[str]:
    """Copy every labelled file of a source into the archive `target`; return counts per class.

    Args:
        source: a preset, path or URL, as in params.yaml.
        target: the archive to write; it is replaced only when everything went well.
        sha256: checksum that the source archive must have; None accepts any.
        root: the folder that a relative path is relative to.
        limits: how large the source may be.

    Raises:
        DataError: the source is missing, damaged, not what the checksum says, or has no classes.
        ArtifactError: the target cannot be written.
    """
    place = locate(source, root=root)
    with _local(place, target.parent, sha256=sha256, limits=limits) as path:
        name = place.name if isinstance(place, Remote) else str(path)
        with open_source(path, name, spool_folder=target.parent, limits=limits) as listing:
            members = _members(listing)
            contents = ((member, e.source, listing.read(e)) for member, e in members)
            write_archive(target, with_progress(contents, "copy", total=len(members), unit="files"))
    return _counts(member for member, _ in members)


def draw(
    target: Path, *, n_images: int, seed: int, workers: int, sha256: str | None
) -> Counter[str]:
    """Draw the synthetic images into the archive `target`; return counts per class.

    Raises:
        ParamsError: a checksum was given, which drawings have none of.
    """
    if sha256 is not None:
        raise ParamsError(f"data.sha256: {SYNTHETIC} has no checksum to compare; set it to null")
    with Progress("draw", total=n_images) as progress:
        images, _ = synthetic_images(
            n_images, seed=seed, workers=workers, on_progress=progress.advance
        )
    write_archive(target, ((name, name, content) for name, content in sorted(images)))
    return _counts(name for name, _ in images)


def summary(counts: Counter[str]) -> str:
    """Return `20000 images in 2 classes (cat 10000, dog 10000)`."""
    shown = [f"{name} {n}" for name, n in sorted(counts.items())][:CLASSES_SHOWN]
    more = ", ..." if len(counts) > CLASSES_SHOWN else ""
    return f"{counts.total()} images in {len(counts)} classes ({', '.join(shown)}{more})"


@contextmanager
def _local(
    place: Path | Remote, folder: Path, *, sha256: str | None, limits: ArchiveLimits
) -> Iterator[Path]:
    """Yield a checked file or folder.

    What was fetched stays until the stage has succeeded, so that a full disk costs no download.
    """
    if isinstance(place, Path):
        if not place.is_dir():
            _check_sha256(place, str(place), expected=sha256)
        elif sha256 is not None:
            raise ParamsError("data.sha256: a folder has no checksum; set it to null")
        yield place
        return
    path = fetch(place, folder, max_bytes=limits.total_bytes)
    try:
        if sha256 is None and place.md5 is not None:
            _check_md5(path, place.name, expected=place.md5)
        _check_sha256(path, place.name, expected=sha256 or place.sha256)
        yield path
    except DataError:
        path.unlink(missing_ok=True)  # fetched whole, and wrong: resuming it would not help
        raise


def _check_sha256(path: Path, name: str, *, expected: str | None) -> None:
    with reading(name):
        found = sha256_file(path)
    if expected is None:
        log.info("the source's checksum was not given; to pin it: data.sha256: %s", found)
    else:
        _compare("sha256", name, found=found, expected=expected)


def _check_md5(path: Path, name: str, *, expected: str) -> None:
    with reading(name), path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    _compare("md5", name, found=found, expected=expected)


def _compare(kind: str, name: str, *, found: str, expected: str) -> None:
    if found != expected:
        raise DataError(
            f"{name}: {kind} is {found}, expected {expected}; damaged, or another version: "
            "get it again, or correct data.sha256 in params.yaml"
        )


def _members(listing: Listing) -> list[tuple[str, Entry]]:
    """Return (name in the archive, file of the source) for every labelled file, sorted."""
    labelled = label_files(listing)
    if labelled.left_out:
        left_out = ", ".join(f"{n} {kind}" for kind, n in sorted(labelled.left_out.items()))
        log.info("left out: %s", left_out)
    # By name and content, not by place: shuffled sources give equal archives.
    files = sorted(labelled.files, key=lambda file: (file[1].source, file[1].crc))
    folders = class_names(label for label, _ in files)
    _warn_of_case(folders)
    names = member_names((folders[label], entry.parts[-1]) for label, entry in files)
    return sorted(zip(names, (entry for _, entry in files), strict=True), key=lambda m: m[0])


def _warn_of_case(folders: dict[str, str]) -> None:
    by_case: dict[str, list[str]] = {}
    for name in folders.values():
        by_case.setdefault(name.casefold(), []).append(name)
    for names in by_case.values():
        if len(names) > 1:
            log.warning("classes that differ only in case are kept apart: %s", ", ".join(names))


def _counts(members: Iterator[str]) -> Counter[str]:
    return Counter(member.partition("/")[0] for member in members)
