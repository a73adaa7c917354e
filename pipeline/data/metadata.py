"""What people know about single images: the split they are meant for, the group they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.archive import Member
from pipeline.core.errors import DataError
from pipeline.core.splits import SPLIT_WORDS
from pipeline.data.tables import Row, read_rows

COLUMNS = ("path", "split", "group")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The rows of data/metadata.csv, checked; an empty cell is no entry."""

    split: dict[str, str]
    """Split by path."""
    group: dict[str, str]
    """What people call the group, by path: an animal, a photographer, a day."""
    more: dict[str, dict[str, str]] = field(default_factory=dict)
    """Further columns by name: the cells by path. The split does not look at them."""


def read_metadata(path: Path, members: Sequence[Member]) -> Metadata:
    """Read and check data/metadata.csv.

    Args:
        path: the file; a spreadsheet's byte order mark, line ends and blank rows are accepted.
        members: the images that exist, named by path or source.

    Raises:
        ArtifactError: the file is missing or not a CSV with these columns.
        DataError: a row cannot be meant; the message names file and line.
    """
    rows = read_rows(path, members, columns=COLUMNS, more_columns=True)
    for row in rows:
        if row.cells["split"] and row.cells["split"].lower() not in SPLIT_WORDS:
            raise DataError(
                f"{row.where}: split {row.cells['split']!r}, expected train, valid, test or nothing"
            )
    return Metadata(
        split={
            row.path: SPLIT_WORDS[row.cells["split"].lower()] for row in rows if row.cells["split"]
        },
        group={row.path: row.cells["group"] for row in rows if row.cells["group"]},
        more=_more(rows),
    )


def _more(rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    names = rows[0].cells.keys() - set(COLUMNS) if rows else set()
    return {
        name: {row.path: row.cells[name] for row in rows if row.cells[name]}
        for name in sorted(names)
    }


def warn_ignored(metadata: Metadata) -> list[str]:
    """Return a sentence on the split column where it is filled in though it is not to be kept."""
    if not metadata.split:
        return []
    return [
        f"data/metadata.csv: the split column (rows filled in: {len(metadata.split)}) is ignored; "
        "set split.keep_given: true to keep it"
    ]
