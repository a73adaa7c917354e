"""Tables about single images that people write, in an editor or a spreadsheet."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.archive import Member, unmarked_path
from pipeline.core.errors import ArtifactError, DataError


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, its image found."""

    where: str
    """File and line, for messages."""
    path: str
    """The image's name in raw.zip, whichever name the row has for it."""
    cells: dict[str, str]
    """The other cells by column, without the blanks around them."""


def read_rows(
    path: Path, members: Sequence[Member], *, columns: Sequence[str], more_columns: bool
) -> list[Row]:
    """Read a table whose column `path` names images.

    A byte order mark, a spreadsheet's line ends and blank rows are accepted. An image is named by
    its path in raw.zip or by its source name, where only one image has that name.

    Args:
        path: the file.
        members: the images that exist.
        columns: those that there must be.
        more_columns: allow further columns and any order.

    Raises:
        ArtifactError: the file is missing or not a CSV of these columns.
        DataError: a row names no image, several, or one that has a row already; the message names
            file and line.
    """
    owners = _owners(members)
    lines: dict[str, str] = {}
    rows = []
    for where, cells in _cells(path, columns=columns, more_columns=more_columns):
        name = cells.pop("path")
        image = _named(name, owners, where=where)
        if image in lines:
            known = name if name == image else f"{name} is {image}, which"
            raise DataError(
                f"{where}: {known} stands in {lines[image]} already; "
                "one row an image: remove one of them"
            )
        lines[image] = where.removeprefix(f"{path}, ")
        rows.append(Row(where, image, {column: cell.strip() for column, cell in cells.items()}))
    return rows


def _owners(members: Sequence[Member]) -> dict[str, list[str]]:
    """Return the paths of the images that a name may mean.

    A name that no image has because several would share it may mean each of them, even where it
    is the source of one: a row with it may be older than the second of them.
    """
    owners: dict[str, set[str]] = {}
    for member in members:
        for name in (member.path, member.source):
            owners.setdefault(name, set()).add(member.path)
    paths = {member.path for member in members}
    for path in paths:
        shared = unmarked_path(path)
        if shared in owners and shared not in paths:
            owners[shared].add(path)
    return {name: sorted(found) for name, found in owners.items()}


def _named(name: str, owners: dict[str, list[str]], *, where: str) -> str:
    found = owners.get(name, [])
    if not found:
        raise DataError(
            f"{where}: no image {name!r}; expected a path or source of split.csv or rejected.csv"
        )
    if len(found) > 1:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise DataError(
            f"{where}: {name!r} may mean {', '.join(found[:3])}{more}; "
            "write another name of the image, its path or its source in split.csv or rejected.csv"
        )
    return found[0]


def _cells(
    path: Path, *, columns: Sequence[str], more_columns: bool
) -> list[tuple[str, dict[str, str]]]:
    """Return each row that is not blank, with its file and line."""
    header, *rows = _parsed(path, header=",".join(columns))
    names = [name.strip() for name in header[1]]
    _check_header(names, columns, more_columns=more_columns, where=f"{path}, line 1")
    found = []
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue  # spreadsheets like to leave such rows
        if len(row) != len(names):
            raise ArtifactError(f"{path}, line {line}: {len(row)} columns, expected {len(names)}")
        found.append((f"{path}, line {line}", dict(zip(names, row, strict=True))))
    return found


def _check_header(
    names: Sequence[str], columns: Sequence[str], *, more_columns: bool, where: str
) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice and more_columns:
        raise ArtifactError(f"{where}: column {twice[0]!r} stands there twice; remove one")
    right = set(columns) <= set(names) if more_columns else list(names) == list(columns)
    if not right:
        found = ",".join(names) or "nothing"
        more = " and any others" if more_columns else ""
        raise ArtifactError(f"{where}: found {found}, expected {','.join(columns)}{more}")


def _parsed(path: Path, *, header: str) -> list[tuple[int, list[str]]]:
    """Return (first line, cells) of every row, the header's first."""
    rows, line = [], 1
    try:
        if path.exists() and not path.is_file():
            raise ArtifactError(f"{path}: not a file; make it one with one line: {header}")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(io.StringIO(file.read(), newline=""), strict=True)
        for row in reader:
            rows.append((line, row))
            line = reader.line_num + 1
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: not found; make it with one line: {header}") from error
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(
            f"{path}, line {line}: cannot be read as CSV in UTF-8: {error}; save it as such"
        ) from error
    return rows or [(1, [])]
