"""Parts of the test images: how the model does on each, and which images to show for it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.artifacts import SliceRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A row of slices.csv and who belongs to it."""

    number: int
    name: str
    value: str
    row: SliceRow
    paths: frozenset[str]


def slices_with_paths(
    rows: Sequence[SliceRow], members: Iterable[tuple[str, str, Iterable[str]]]
) -> tuple[Slice, ...]:
    """Join the rows of slices.csv with the images of each part.

    Where several parts of a trait have one name, as where a cell of data/metadata.csv holds the
    name that is given to the rest, they are told apart by their order.

    Args:
        rows: of slices.csv.
        members: trait, value and paths of the images that have it, in the order of the rows.
    """
    known: dict[tuple[str, str], list[frozenset[str]]] = defaultdict(list)
    for name, value, paths in members:
        known[name, value].append(frozenset(paths))
    parts = {key: iter(found) for key, found in known.items()}
    return tuple(
        Slice(
            number=number,
            name=row.slice,
            value=row.value,
            row=row,
            paths=next(parts.get((row.slice, row.value), iter(())), frozenset()),
        )
        for number, row in enumerate(rows)
    )


def slices_by_path(slices: Iterable[Slice]) -> Mapping[str, str]:
    """Return the numbers of the slices that an image belongs to, set apart by blanks, by path."""
    found: dict[str, list[str]] = {}
    for part in slices:
        for path in part.paths:
            found.setdefault(path, []).append(str(part.number))
    return {path: " ".join(numbers) for path, numbers in found.items()}
