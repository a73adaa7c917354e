"""What people say about single images: relabel, drop or keep."""

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.artifacts import Correction
from pipeline.core.errors import ArtifactError, DataError

COLUMNS = ["path", "action", "label"]
ACTIONS = ("relabel", "drop", "keep")


@dataclass(frozen=True, slots=True)
class Corrections:
    """The rows of data/corrections.csv, checked."""

    relabel: dict[str, str]
    """New label by path."""
    drop: frozenset[str]
    keep: frozenset[str]


def read_corrections(
    path: Path, *, paths: Collection[str], classes: Collection[str]
) -> Corrections:
    """Read and check data/corrections.csv.

    Args:
        path: the file; a spreadsheet's byte order mark and line ends are accepted.
        paths: the images that exist.
        classes: the labels that exist.

    Raises:
        ArtifactError: the file is missing or not a CSV of these columns.
        DataError: a row cannot be meant; the message names file and line.
    """
    relabel: dict[str, str] = {}
    seen: dict[str, int] = {}
    actions: dict[str, set[str]] = {action: set() for action in ACTIONS}
    for line, row in _rows(path):
        _check(row, where=f"{path}, line {line}", paths=paths, classes=classes)
        if row.path in seen:
            raise DataError(
                f"{path}, line {line}: {row.path} stands in line {seen[row.path]} already; "
                "one row an image: remove one of them"
            )
        seen[row.path] = line
        actions[row.action].add(row.path)
        if row.action == "relabel":
            relabel[row.path] = row.label
    return Corrections(relabel, frozenset(actions["drop"]), frozenset(actions["keep"]))


def _check(
    row: Correction, *, where: str, paths: Collection[str], classes: Collection[str]
) -> None:
    if row.action not in ACTIONS:
        raise DataError(f"{where}: action {row.action!r}, expected {', '.join(ACTIONS)}")
    if row.path not in paths:
        raise DataError(
            f"{where}: no image {row.path!r}; expected a path of split.csv or rejected.csv"
        )
    if row.action == "relabel" and row.label not in classes:
        raise DataError(f"{where}: label {row.label!r}, expected one of {', '.join(classes)}")
    if row.action != "relabel" and row.label:
        raise DataError(f"{where}: {row.action} takes no label, found {row.label!r}")


def _rows(path: Path) -> list[tuple[int, Correction]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(io.StringIO(file.read(), newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{path}: not found; make it with one line: {','.join(COLUMNS)}"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error
    if not rows or rows[0][1] != COLUMNS:
        found = ",".join(rows[0][1]) if rows else "nothing"
        raise ArtifactError(f"{path}, line 1: found {found}, expected {','.join(COLUMNS)}")
    records = []
    for line, row in rows[1:]:
        if not row:
            continue
        if len(row) != len(COLUMNS):
            raise ArtifactError(f"{path}, line {line}: {len(row)} columns, expected {len(COLUMNS)}")
        records.append((line, Correction(path=row[0], action=row[1].strip(), label=row[2])))
    return records
