"""How large a source may be, enforced by counting the bytes that really come out of it."""

from dataclasses import dataclass
from typing import IO

from pipeline.core.errors import DataError

CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What a source may hold before it is taken for an attack or a mistake."""

    members: int = 2_000_000
    member_bytes: int = 200 * 10**6
    total_bytes: int = 100 * 10**9
    ratio: int = 200
    """Decompressed bytes per compressed byte, over the whole archive."""
    ratio_from_bytes: int = 10 * 10**6
    """Below this the ratio does not matter."""
    name_chars: int = 1024
    depth: int = 100
    """Folders inside each other."""


LIMITS = ArchiveLimits()


class Meter:
    """Counts what comes out of one source and stops it at the limits.

    Args:
        name: what error messages call the source.
        limits: the limits.
        packed_bytes: size of the archive file; None for a folder, which has no ratio.
    """

    def __init__(self, name: str, limits: ArchiveLimits, *, packed_bytes: int | None) -> None:
        self._name, self._limits = name, limits
        self._members, self._bytes = 0, 0
        self._most_bytes = limits.total_bytes
        self._why = f"{limits.total_bytes} bytes in total"
        if packed_bytes is not None:
            by_ratio = max(limits.ratio * packed_bytes, limits.ratio_from_bytes)
            if by_ratio < self._most_bytes:
                self._most_bytes = by_ratio
                self._why = f"{limits.ratio} times its compressed size, as only a bomb does"

    def count_member(self, name: str) -> None:
        """Count one more entry.

        Raises:
            DataError: there are too many, or the name is too long or too deep.
        """
        self._members += 1
        if self._members > self._limits.members:
            raise DataError(f"{self._name}: refused: more than {self._limits.members} entries")
        if len(name) > self._limits.name_chars:
            raise DataError(
                f"{self._name}: refused: a name of {len(name)} characters "
                f"({name[:40]!r}...), limit {self._limits.name_chars}"
            )
        if name.count("/") + name.count("\\") > self._limits.depth:
            raise DataError(
                f"{self._name}: refused: {name[:40]!r}... lies more than "
                f"{self._limits.depth} folders deep"
            )

    def check_member(self, name: str, size_bytes: int) -> None:
        """Check the size of one file.

        Raises:
            DataError: it is larger than a file may be.
        """
        if size_bytes > self._limits.member_bytes:
            raise DataError(
                f"{self._name}: refused: {name} holds more than "
                f"{self._limits.member_bytes} bytes; take it out of the source"
            )

    def add(self, n_bytes: int) -> None:
        """Count bytes that came out.

        Raises:
            DataError: they are more than the whole source may hold.
        """
        self._bytes += n_bytes
        if self._bytes > self._most_bytes:
            raise DataError(f"{self._name}: refused: it unpacks to more than {self._why}")

    def read(self, file: IO[bytes], name: str, *, chunk_bytes: int = CHUNK_BYTES) -> bytes:
        """Return all of an opened member, counting as it comes whatever its header says."""
        content = bytearray()
        while chunk := file.read(chunk_bytes):
            content += chunk
            self.add(len(chunk))
            self.check_member(name, len(content))
        return bytes(content)
