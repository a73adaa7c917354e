"""Which class each file of a source belongs to, told from where it lies.

Known without configuration, below any wrapping folders: class folders (`cat/1.jpg`), the same
inside train, valid and test folders, and names that begin with the class (`train/cat.0.jpg`).
"""

import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.core.errors import DataError
from pipeline.core.splits import split_of_folder
from pipeline.sources.limits import shown
from pipeline.sources.listing import Entry, Listing
from pipeline.sources.names import has_image_suffix, is_junk_folder, is_note, is_system_file

Parts = tuple[str, ...]

EXPECTED = (
    "expected two or more folders named after their classes (cat/..., dog/...), "
    "or names that begin with the class (cat.0.jpg)"
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """The files of a source that have a class, and how many were left out for which reason."""

    files: list[tuple[str, Entry]]
    """(class text in NFC, file), in the order of the source."""
    left_out: Counter[str]


def label_files(listing: Listing, *, min_classes: int = 2) -> Labelled:
    """Tell the class of every file of a source.

    Raises:
        DataError: fewer than `min_classes` are found, or a class folder is empty.
    """
    left_out = Counter(listing.skipped)
    system = [entry for entry in listing.entries if is_system_file(entry.parts)]
    files = [entry for entry in listing.entries if not is_system_file(entry.parts)]
    empty = _empty_folders(listing, files, system)
    left_out["system files"] += len(system)
    left_out["notes and tables"] += sum(is_note(entry.parts) for entry in files)
    files = [entry for entry in files if not is_note(entry.parts)]

    repeats = _Repeats(files)
    left_out["repeats in sample/"] += sum(repeats.holds(entry.parts) for entry in files)
    files = [entry for entry in files if not repeats.holds(entry.parts)]
    empty = {folder for folder in empty if not repeats.holds((*folder, ""))}

    rule = _find_rule([entry.parts for entry in files], empty)
    labelled = [(rule.label(entry.parts), entry) for entry in files]
    left_out["files without a class"] += sum(label is None for label, _ in labelled)
    found = [(label, entry) for label, entry in labelled if label is not None]
    counts = Counter(label for label, _ in found)
    _check_folders(listing, counts, rule, empty)
    if len(counts) < min_classes:
        raise DataError(f"{listing.name}: {_too_few(listing, counts)}")
    return Labelled(found, +left_out)


@dataclass(frozen=True, slots=True)
class _Rule:
    """How the class is told from the parts of a name."""

    root: Parts
    """The wrapping folders; what lies outside has no class."""
    split_roots: frozenset[Parts]
    """Folders below the root that are stepped over; none: the classes begin in the root."""
    by_folder: bool
    """The class is the next folder; otherwise the word before the name's first dot."""

    def label(self, parts: Parts) -> str | None:
        """Return the class of a file, None if it has none."""
        inner = self._inner(parts)
        if self.by_folder:
            return unicodedata.normalize("NFC", inner[0]) if len(inner) > 1 else None
        return _leading_word(inner[0]) if len(inner) == 1 else None

    def _inner(self, parts: Parts) -> Parts:
        """Return what follows the wrapping and split folders."""
        if parts[: len(self.root)] != self.root:
            return ()
        inner = parts[len(self.root) :]
        if not self.split_roots:
            return inner
        depth = next((n for n in (1, 2) if inner[:n] in self.split_roots), len(inner))
        return inner[depth:]


def _find_rule(files: list[Parts], empty: set[Parts]) -> _Rule:
    """Step down through wrapping folders to where the classes or splits begin."""
    root: Parts = ()
    while True:
        depth = len(root)
        files = [parts for parts in files if parts[:depth] == root]
        folders = {parts[depth] for parts in files if len(parts) > depth + 1}
        folders |= {f[depth] for f in empty if len(f) > depth and f[:depth] == root}
        if len(folders) >= 2:
            return _rule_among([parts[depth:] for parts in files], folders, root)
        if any(len(parts) == depth + 1 and _leading_word(parts[-1]) for parts in files):
            return _Rule(root, frozenset(), by_folder=False)
        if not folders:  # one class at most: its folder is the last that was stepped into
            return _Rule(root[:-1], frozenset(), by_folder=True)
        root = (*root, *folders)


def _rule_among(files: list[Parts], folders: set[str], root: Parts) -> _Rule:
    """Decide whether the folders of the root are classes, or splits that hold the classes."""
    splits = {folder for folder in folders if split_of_folder(folder)}
    roots = frozenset(_split_root(files, split) for split in splits)
    rule = _Rule((), roots, by_folder=True)
    # A class may be called `train`, beside `bus`: then both hold images, or both hold folders.
    classes_beside = len(splits) == 1 and any(
        len(parts) > 2 and parts[0] not in splits for parts in files
    )
    if splits and not classes_beside and any(rule.label(parts) for parts in files):
        return _Rule(root, roots, by_folder=True)
    rule = _Rule((), roots, by_folder=False)
    if splits and any(rule.label(parts) for parts in files):
        return _Rule(root, roots, by_folder=False)
    return _Rule(root, frozenset(), by_folder=True)


def _split_root(files: list[Parts], split: str) -> Parts:
    """Return `(train,)`, or `(train, train)` where an archive wrapped the folder once more."""
    inside = [parts for parts in files if parts[0] == split and len(parts) > 1]
    twice = bool(inside) and all(len(p) > 2 and p[1] == split for p in inside)
    return (split, split) if twice else (split,)


def _leading_word(name: str) -> str | None:
    """Return `cat` for `cat.0.jpg`, None for `1.jpg`."""
    word, _, rest = name.partition(".")
    labelled = "." in rest and has_image_suffix(name)
    return unicodedata.normalize("NFC", word) if word and labelled else None


class _Repeats:
    """Finds fast.ai's `sample` folder, which repeats some images of the splits beside it."""

    def __init__(self, files: Iterable[Entry]) -> None:
        self._split_parents = {
            folder[:depth]
            for folder in {entry.parts[:-1] for entry in files}
            for depth, part in enumerate(folder)
            if split_of_folder(part)
        }

    def holds(self, parts: Parts) -> bool:
        """Tell whether a file lies in `sample/train`, say, beside a `train`."""
        return any(
            part == "sample"
            and parts[:depth] in self._split_parents
            and split_of_folder(parts[depth + 1])
            for depth, part in enumerate(parts[:-2])
        )


def _empty_folders(listing: Listing, files: list[Entry], system: list[Entry]) -> set[Parts]:
    """Return the folders with no file at all below them, by-products aside."""
    named = {*listing.folders, *(entry.parts[:-1] for entry in system)}
    filled = sorted({entry.parts[:-1] for entry in files})

    def is_filled(folder: Parts) -> bool:
        # What begins with it comes first from there on. No set of all parents: it takes gigabytes
        # where each file has a deep folder of its own.
        at = bisect_left(filled, folder)
        return at < len(filled) and filled[at][: len(folder)] == folder

    return {f for f in named if f and not any(map(is_junk_folder, f)) and not is_filled(f)}


def _check_folders(listing: Listing, counts: Counter[str], rule: _Rule, empty: set[Parts]) -> None:
    for folder in sorted(empty) if rule.by_folder else []:
        label = rule.label((*folder, ""))
        if label is not None and label not in counts:
            raise DataError(
                f"{listing.name}: class folder {shown('/'.join(folder))} is empty; "
                "put images into it or remove it"
            )


def _too_few(listing: Listing, counts: Counter[str]) -> str:
    """Say which classes there are and what to do."""
    if not listing.entries:
        return f"holds no files; {EXPECTED}"
    packed = [entry.source for entry in listing.entries if _is_packed(entry.parts[-1])]
    cure = f"it holds {shown(packed[0])}: unpack that and give the result" if packed else EXPECTED
    found = "".join(f"only one class, {shown(name)} ({n} files)" for name, n in counts.items())
    return f"{found or 'no class found'}; {cure}"


def _is_packed(name: str) -> bool:
    return name.lower().endswith((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"))
