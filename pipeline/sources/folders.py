"""A folder as a listing: regular files only, no link followed, nothing in it changed."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import DataError
from pipeline.sources.limits import ArchiveLimits, Meter, shown
from pipeline.sources.listing import Entry, Listing, reading
from pipeline.sources.names import is_junk_folder

# O_NOFOLLOW, O_NONBLOCK: a file that became a link or a pipe since it was listed is not followed
# and not waited for.
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


@contextmanager
def open_folder(path: Path, name: str, limits: ArchiveLimits) -> Iterator[Listing]:
    """Yield the listing of a folder and all below it.

    Raises:
        DataError: something in it cannot be read, or it is beyond the limits.
    """
    listed, meter = Meter(name, limits, packed_bytes=None), Meter(name, limits, packed_bytes=None)
    entries: list[Entry] = []
    folders: list[tuple[str, ...]] = []
    skipped: Counter[str] = Counter()
    for parts, mode, size_bytes in _walk(path, name):
        source = "/".join(parts)
        listed.count_member(source)
        if stat.S_ISDIR(mode):
            folders.append(parts)
        elif stat.S_ISLNK(mode):
            skipped["links"] += 1
        elif not stat.S_ISREG(mode):
            skipped["special files"] += 1
        elif size_bytes > limits.member_bytes:
            skipped[f"files of more than {limits.member_bytes} bytes"] += 1
        else:
            listed.add(size_bytes)
            entries.append(Entry(source, parts, crc=0, place=0))

    def read(entry: Entry) -> bytes:
        return _content(path, entry, name, meter)

    yield Listing(name, entries, folders, read, skipped)


def _walk(path: Path, name: str) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield parts, mode and size of everything below a folder; no recursion, so no depth limit."""
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        parts = waiting.pop()
        with (
            reading(f"{name}/{shown('/'.join(parts))}"),
            os.scandir(path.joinpath(*parts)) as found,
        ):
            children = [(child.name, child.stat(follow_symlinks=False)) for child in found]
        for child, status in children:
            here = (*parts, child)
            yield here, status.st_mode, status.st_size
            if stat.S_ISDIR(status.st_mode) and not is_junk_folder(child):
                waiting.append(here)


def _content(path: Path, entry: Entry, name: str, meter: Meter) -> bytes:
    with reading(f"{name}/{shown(entry.source)}"):
        descriptor = os.open(path.joinpath(*entry.parts), OPEN_FLAGS)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DataError(
                    f"{name}/{shown(entry.source)}: changed while it was read; run again"
                )
            return meter.read(file, entry.source)
