"""What people say about single images: relabel, drop or keep."""

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.archive import Member
from pipeline.core.artifacts import Correction, Rejected
from pipeline.core.errors import ArtifactError, DataError
from pipeline.data.scan import Scanned

COLUMNS = ["path", "action", "label"]
ACTIONS = ("relabel", "drop", "keep")


@dataclass(frozen=True, slots=True)
class Corrections:
    """The rows of data/corrections.csv, checked."""

    relabel: dict[str, str]
    """New label by path."""
    drop: frozenset[str]
    keep: frozenset[str]

    def classes_of(self, members: Iterable[Member]) -> set[str]:
        """Return the classes that should have images: those of the members that are not dropped."""
        return {self.relabel.get(m.path, m.label) for m in members if m.path not in self.drop}


def read_corrections(path: Path, members: Sequence[Member]) -> Corrections:
    """Read and check data/corrections.csv.

    Args:
        path: the file; a spreadsheet's byte order mark, line ends and blank rows are accepted.
        members: the images and classes that exist.

    Raises:
        ArtifactError: the file is missing or not a CSV of these columns.
        DataError: a row cannot be meant; the message names file and line.
    """
    paths = {member.path for member in members}
    classes = sorted({member.label for member in members})
    rows: dict[str, tuple[int, Correction]] = {}
    for line, row in _rows(path):
        where = f"{path}, line {line}"
        _check(row, where=where, paths=paths, classes=classes)
        if row.path in rows:
            raise DataError(
                f"{where}: {row.path} stands in line {rows[row.path][0]} already; "
                "one row an image: remove one of them"
            )
        rows[row.path] = line, row
    wanted = {
        action: frozenset(p for p, (_, r) in rows.items() if r.action == action)
        for action in ACTIONS
    }
    relabel = {p: rows[p][1].label for p in sorted(wanted["relabel"])}
    return Corrections(relabel, wanted["drop"], wanted["keep"])


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


def without_effect(corrections: Corrections, rejected: Sequence[Rejected]) -> list[str]:
    """Return one sentence for each correction of an image that cannot be decoded.

    Args:
        corrections: what people say.
        rejected: the images that cannot be decoded.
    """
    wanted = corrections.keep | corrections.relabel.keys()
    return [
        f"data/corrections.csv: {row.path} stays rejected ({row.reason}: {row.detail}); "
        "keep and relabel cannot mend an image"
        for row in rejected
        if row.path in wanted
    ]


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
        if not any(row):
            continue  # a blank row, which spreadsheets like to leave
        if len(row) != len(COLUMNS):
            raise ArtifactError(f"{path}, line {line}: {len(row)} columns, expected {len(COLUMNS)}")
        records.append((line, Correction(path=row[0], action=row[1].strip(), label=row[2].strip())))
    return records
