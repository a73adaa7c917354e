"""Between what people mark on the page and the rows of data/corrections.csv."""

from collections import Counter
from collections.abc import Iterable, Mapping

from pipeline.core.archive import Member
from pipeline.data.corrections import Corrections

Marks = dict[str, tuple[str, str]]
"""(action, label) by path; the label is empty but for `relabel`."""


def as_marks(corrections: Corrections) -> Marks:
    """Return the rows of a file that was read."""
    return {
        **{path: ("relabel", label) for path, label in corrections.relabel.items()},
        **{path: ("drop", "") for path in corrections.drop},
        **{path: ("keep", "") for path in corrections.keep},
    }


def settled(marks: Mapping[str, tuple[str, str]]) -> frozenset[str]:
    """Return the paths whose label a person has given or confirmed."""
    return frozenset(path for path, (action, _) in marks.items() if action != "drop")


def merged(known: Mapping[str, tuple[str, str]], marks: Mapping[str, tuple[str, str]]) -> Marks:
    """Return the marks of a file with others added; an image has one, and the new one wins."""
    return {**known, **marks}


def as_rows(
    marks: Mapping[str, tuple[str, str]], names: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Return rows of data/corrections.csv in the order of the paths.

    Args:
        marks: what is to be done.
        names: what `unambiguous_names` returned.
    """
    return [(names.get(path, path), *marks[path]) for path in sorted(marks)]


def unambiguous_names(members: Iterable[Member]) -> dict[str, str]:
    """Return the name that a table must use for an image, where that is not its path.

    A table may name an image by path or by source, so that a path that is the source of another
    image may mean either.
    """
    members = list(members)
    owners = Counter(name for m in members for name in {m.path, m.source})
    return {m.path: m.source for m in members if owners[m.path] > 1 and owners[m.source] == 1}
