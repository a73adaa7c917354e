"""What people say about single images: relabel, drop or keep."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.archive import Member
from pipeline.core.artifacts import Rejected
from pipeline.core.errors import DataError
from pipeline.data.groups import members_of
from pipeline.data.scan import Scanned
from pipeline.data.tables import Row, read_rows

COLUMNS = ("path", "action", "label")
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
        members: the images and classes that exist, images named by path or source.

    Raises:
        ArtifactError: the file is missing or not a CSV of these columns.
        DataError: a row cannot be meant; the message names file and line.
    """
    classes = {member.label for member in members}
    rows = read_rows(path, members, columns=COLUMNS, more_columns=False)
    for row in rows:
        _check(row, classes=sorted(classes))
    corrections = Corrections(
        relabel={row.path: row.cells["label"] for row in _rows_of(rows, "relabel")},
        drop=frozenset(row.path for row in _rows_of(rows, "drop")),
        keep=frozenset(row.path for row in _rows_of(rows, "keep")),
    )
    lost = classes - corrections.classes_of(members)
    labels = {member.path: member.label for member in members}
    for row in _rows_of(rows, "relabel"):
        # Dropping all images of a class says that it should go; relabelling them does not.
        if (label := labels[row.path]) in lost:
            raise DataError(
                f"{row.where}: with this relabel class {label!r} has no image left; leave it one, "
                "or, if two classes are to be one, join their folders in data.source"
            )
    return corrections


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


def without_effect(
    corrections: Corrections, refused: Sequence[Rejected], groups: Mapping[str, str]
) -> list[str]:
    """Return one sentence for each correction that changes nothing, and each class dropped whole.

    A relabel to the label that the image has already is not for nothing where another image of its
    group has another label: it says who is right.

    Args:
        corrections: what people say.
        refused: the images that cannot be decoded.
        groups: the group of each image that can, by path.
    """
    wanted = corrections.keep | corrections.relabel.keys()
    unmended = [
        f"data/corrections.csv: {row.path} stays rejected ({row.reason}: {row.detail}); "
        "keep and relabel cannot mend an image"
        for row in refused
        if row.path in wanted
    ]
    members = members_of(groups)
    repeated = [
        f"data/corrections.csv: {path} is {label!r} already; relabel has no effect"
        for path, label in sorted(corrections.relabel.items())
        if path in groups and {_folder(p) for p in members[groups[path]]} == {label}
    ]
    return unmended + repeated


def dropped_classes(corrections: Corrections, members: Sequence[Member]) -> list[str]:
    """Return one sentence for each class of which people dropped every image."""
    sizes = Counter(member.label for member in members)
    return [
        f"data/corrections.csv drops all {sizes[label]} images of class {label!r}; "
        "the model will not know it"
        for label in sorted(sizes.keys() - corrections.classes_of(members))
    ]


def _folder(path: str) -> str:
    return path.partition("/")[0]


def _rows_of(rows: Sequence[Row], action: str) -> list[Row]:
    return sorted((r for r in rows if r.cells["action"] == action), key=lambda row: row.path)


def _check(row: Row, *, classes: Collection[str]) -> None:
    action, label = row.cells["action"], row.cells["label"]
    if action not in ACTIONS:
        raise DataError(f"{row.where}: action {action!r}, expected {', '.join(ACTIONS)}")
    if action == "relabel" and label not in classes:
        raise DataError(f"{row.where}: label {label!r}, expected one of {', '.join(classes)}")
    if action != "relabel" and label:
        raise DataError(f"{row.where}: {action} takes no label, found {label!r}")
