"""What every kind of source is turned into: a list of files that can be read one by one."""

import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from tarfile import TarError

from pipeline.core.errors import DataError

# What zipfile, tarfile and the decompressors were seen to raise on damaged or hostile input.
# RuntimeError covers passwords, NotImplementedError and RecursionError; ValueError and IndexError
# come from odd names and numbers.
READ_ERRORS = (
    zipfile.BadZipFile,
    TarError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    OverflowError,
    MemoryError,
)


class UnreadableError(DataError):
    """A source that is damaged, or is no archive at all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One regular file of a source."""

    source: str
    """Its name, as the source spells it."""
    parts: tuple[str, ...]
    """Folders and file name, without `.`, `..` and empty parts."""
    crc: int
    """CRC-32 of the content; puts files of equal name into one order wherever they lie."""
    place: int
    """Where the reader finds it; meaningful to that reader only."""


@dataclass(frozen=True, slots=True)
class Listing:
    """An opened source."""

    name: str
    """What messages call it."""
    entries: list[Entry]
    folders: list[tuple[str, ...]]
    """Folders that the source names explicitly; only those can be empty."""
    read: Callable[[Entry], bytes]
    """Return one entry's bytes; raises DataError where the source is damaged or beyond limits."""
    skipped: Counter[str] = field(default_factory=Counter)
    """How many entries of each kind were left out, by a plural word for the kind."""


def parts_of(name: str) -> tuple[str, ...]:
    """Split a name at its slashes; `.`, `..` and an absolute path's root lead nowhere here."""
    return tuple(part for part in name.split("/") if part not in ("", ".", ".."))


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn whatever a library raises while it reads `name` into one line.

    Raises:
        UnreadableError: the block raised one of `READ_ERRORS`.
    """
    try:
        yield
    except READ_ERRORS as error:
        raise UnreadableError(f"{name}: cannot be read: {described(error)}") from error


def described(error: BaseException) -> str:
    """Return an error's text in one line, its type where it has none."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = "".join(char if char.isprintable() else " " for char in text[:1000])
    return " ".join(line.split())[:300] or type(error).__name__
