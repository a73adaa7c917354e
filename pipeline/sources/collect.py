"""From a source to data/raw.zip: choose the files, name them safely, copy them in sorted order."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.core.archive import JOINT, write_archive
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.progress import Progress, with_progress
from pipeline.core.seen import look
from pipeline.sources.checksums import sha256_of
from pipeline.sources.fetch import fetch
from pipeline.sources.layouts import EXPECTED, label_files
from pipeline.sources.limits import LIMITS, ArchiveLimits, shown
from pipeline.sources.listing import Entry, Listing, UnreadableError, reading
from pipeline.sources.locations import SYNTHETIC, Remote, Source, locate_all
from pipeline.sources.names import class_names, member_names
from pipeline.sources.opening import open_source
from pipeline.sources.synthetic import synthetic_images

log = logging.getLogger(__name__)
CLASSES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was copied."""

    counts: Counter[str]
    """Files per class."""
    seen: dict[Path, dict[str, Any]]
    """What `core.seen` remembers of each local source."""


def collect(
    source: str | Sequence[str],
    target: Path,
    *,
    sha256: str | Sequence[str | None] | None,
    root: Path,
    limits: ArchiveLimits = LIMITS,
) -> Collected:
    """Copy every labelled file of one source, or of several joined, into the archive `target`.

    Args:
        source: presets, paths or URLs, as in params.yaml. Their order changes nothing.
        target: the archive to write; it is replaced only when everything went well.
        sha256: checksum that the source must have, one for each; None accepts any.
        root: the folder that a relative path is relative to.
        limits: how large one source may be.

    Raises:
        DataError: a source is missing, damaged, not what its checksum says, or has no classes.
        ArtifactError: the target cannot be written.
    """
    sources = locate_all(source, sha256, root=root)
    seen: dict[Path, dict[str, Any]] = {}
    with ExitStack() as opened:
        labelled: list[_File] = []
        for one in sources:
            path = _checked(one, target.parent, seen, limits=limits)
            listing = _opened(one, path, opened, folder=target.parent, limits=limits)
            labelled += _labelled(one, listing, alone=len(sources) == 1)
        _check_classes(labelled)
        members = _named(labelled)
        contents = ((name, file.source, file.read()) for name, file in members)
        write_archive(target, with_progress(contents, "copy", total=len(members), unit="files"))
    _advise_pins(sources, seen)
    return Collected(counts=_counts(name for name, _ in members), seen=seen)


def draw(
    target: Path,
    *,
    n_images: int,
    seed: int,
    workers: int,
    sha256: str | Sequence[str | None] | None,
) -> Collected:
    """Draw the synthetic images into the archive `target`.

    Raises:
        ParamsError: a checksum was given, which drawings have none of.
    """
    if sha256 is not None and list(sha256) != [None]:
        raise ParamsError(f"data.sha256: {SYNTHETIC} has no checksum to compare; set it to null")
    with Progress("draw", total=n_images) as progress:
        images, _ = synthetic_images(
            n_images, seed=seed, workers=workers, on_progress=progress.advance
        )
    write_archive(target, ((name, name, content) for name, content in sorted(images)))
    return Collected(counts=_counts(name for name, _ in images), seen={})


def summary(counts: Counter[str]) -> str:
    """Return `20000 images in 2 classes (cat 10000, dog 10000)`."""
    shown = [f"{name} {n}" for name, n in sorted(counts.items())][:CLASSES_SHOWN]
    more = ", ..." if len(counts) > CLASSES_SHOWN else ""
    return f"{counts.total()} images in {len(counts)} classes ({', '.join(shown)}{more})"


def _checked(
    source: Source, folder: Path, seen: dict[Path, dict[str, Any]], *, limits: ArchiveLimits
) -> Path:
    """Return a file or folder that is what its checksum says; what is known of it goes to `seen`.

    What was fetched stays until the stage has succeeded, so that a full disk, or a fault of
    another source, costs no download.
    """
    place = source.place
    if isinstance(place, Remote):
        return _fetched(place, source, folder, limits=limits)
    seen[place] = look(place)  # before it is read: a change meanwhile is one that is noticed
    seen[place]["sha256"] = found = sha256_of(place, limits=limits)
    if source.sha256 not in (None, found):
        raise DataError(
            f"{source.name}: sha256 is {found}, expected {source.sha256}; it changed or is "
            "damaged; if the change is meant, run: python -m pipeline.sources.pin && dvc repro"
        )
    return place


def _fetched(place: Remote, source: Source, folder: Path, *, limits: ArchiveLimits) -> Path:
    path = fetch(place, folder, max_bytes=limits.total_bytes)
    with _removed_at(DataError, path):
        if source.sha256 is None and place.md5 is not None:
            _check_md5(path, place.name, expected=place.md5)
        found = sha256_of(path)
        expected = source.sha256 or place.sha256
        if expected is None:
            log.info("%s has no checksum yet; to pin it: data.sha256: %s", place.name, found)
        else:
            _compare("sha256", place.name, found=found, expected=expected)
    return path


def _opened(
    source: Source, path: Path, opened: ExitStack, *, folder: Path, limits: ArchiveLimits
) -> Listing:
    """Return the listing of a source, open as long as `opened`."""
    made = open_source(path, source.name, spool_folder=folder, limits=limits)
    if isinstance(source.place, Path):
        return opened.enter_context(made)
    with _removed_at(UnreadableError, path):
        listing = opened.enter_context(made)

    def read(entry: Entry) -> bytes:
        with _removed_at(UnreadableError, path):
            return listing.read(entry)

    return replace(listing, read=read)


@contextmanager
def _removed_at(error: type[DataError], path: Path) -> Iterator[None]:
    """Remove what was fetched whole and is wrong: resuming it would not help."""
    try:
        yield
    except error:
        path.unlink(missing_ok=True)
        raise


def _advise_pins(sources: list[Source], seen: dict[Path, dict[str, Any]]) -> None:
    """Warn of each local source whose changes nothing but our record would notice."""
    for source in sources:
        if isinstance(source.place, Path) and source.sha256 is None:
            log.warning(
                "data.source: %s is not pinned, so DVC will not notice when it changes; "
                "run: python -m pipeline.sources.pin (data.sha256: %s)",
                source.name,
                seen[source.place]["sha256"],
            )


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


@dataclass(frozen=True, slots=True)
class _File:
    """One file that has a class."""

    label: str
    source: str
    """Where it comes from, as `source` of data/raw.zip has it."""
    entry: Entry
    listing: Listing

    def identity(self, *, repeated: bool) -> str:
        """Return its source, and of one that is repeated in an archive, its content as well."""
        return f"{self.source} {self.entry.crc:08x}" if repeated else self.source

    def read(self) -> bytes:
        return self.listing.read(self.entry)


def _labelled(source: Source, listing: Listing, *, alone: bool) -> list[_File]:
    """Return the files of a source that have a class; of several each need have just one."""
    labelled = label_files(listing, min_classes=2 if alone else 1)
    if labelled.left_out:
        left_out = ", ".join(f"{n} {kind}" for kind, n in sorted(labelled.left_out.items()))
        log.info("%sleft out: %s", "" if alone else f"{source.name}: ", left_out)
    before = "" if alone else source.short_name + JOINT
    return [_File(label, before + entry.source, entry, listing) for label, entry in labelled.files]


def _check_classes(files: list[_File]) -> None:
    classes = {file.label for file in files}
    if len(classes) < 2:
        raise DataError(
            f"data.source: only one class, {shown(classes.pop())}, in all of them; {EXPECTED}"
        )


def _named(files: list[_File]) -> list[tuple[str, _File]]:
    """Return (name in the archive, file) for every file, sorted by that name."""
    # By name and content, not by place: shuffled sources give equal archives.
    files = sorted(files, key=lambda file: (file.source, file.entry.crc))
    folders = class_names(file.label for file in files)
    _warn_of_case(folders)
    repeats = Counter(file.source for file in files)
    names = member_names(
        [
            (folders[f.label], f.entry.parts[-1], f.identity(repeated=repeats[f.source] > 1))
            for f in files
        ]
    )
    return sorted(zip(names, files, strict=True), key=lambda member: member[0])


def _warn_of_case(folders: dict[str, str]) -> None:
    by_case: dict[str, list[str]] = {}
    for name in folders.values():
        by_case.setdefault(name.casefold(), []).append(name)
    for names in by_case.values():
        if len(names) > 1:
            some = ", ".join(names[:CLASSES_SHOWN])
            log.warning("classes that differ only in case are kept apart: %s", some)


def _counts(members: Iterator[str]) -> Counter[str]:
    return Counter(member.partition("/")[0] for member in members)
