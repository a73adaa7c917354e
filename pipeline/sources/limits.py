"""How large a source may be, enforced by counting the bytes that really come out of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from pipeline.core.errors import DataError

CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What a source may hold before it is taken for an attack or a mistake.

    The defaults are those of params.yaml, where each is `data.max_` and its name here.
    """

    members: int = 100_000
    """Files and folders together; each takes 1 to 4 kB of memory."""
    member_bytes: int = 50 * 2**20
    """Of one file; the image gate refuses larger ones anyway."""
    total_bytes: int = 100 * 10**9
    """Of all files together."""
    ratio: int = 200
    """Decompressed bytes per compressed byte."""
    name_chars: int = 1024
    depth: int = 20
    """Folders inside each other."""


LIMITS = ArchiveLimits()
MEAN_NAME_CHARS = 256  # over as many names as there may be: they are held in memory
RATIO_FROM_BYTES = 10 * 10**6  # below this the ratio does not matter


def shown(name: str) -> str:
    """Return a name from a source for people: one short line without control characters."""
    text = "".join(char if char.isprintable() else "?" for char in name[:80])
    return text + "..." if len(name) > 80 else text


class Meter:
    """Counts what comes out of one source and stops it at the limits.

    Args:
        name: what error messages call the source.
        limits: the limits.
        packed_bytes: says how many compressed bytes the content so far came from; None for a
            folder, which has no ratio.
    """

    def __init__(
        self, name: str, limits: ArchiveLimits, *, packed_bytes: Callable[[], int] | None
    ) -> None:
        self._name, self._limits, self._packed_bytes = name, limits, packed_bytes
        self._members, self._chars, self._bytes = 0, 0, 0

    def count_member(self, name: str) -> None:
        """Count one more entry.

        Raises:
            DataError: there are too many, or the name is too long or too deep.
        """
        self._members += 1
        self._chars += len(name)
        if self._members > self._limits.members:
            raise self._refused(f"more than {self._limits.members} entries", "max_members")
        if len(name) > self._limits.name_chars:
            raise self._refused(
                f"a name of more than {self._limits.name_chars} characters ({shown(name)})",
                "max_name_chars",
            )
        if self._chars > MEAN_NAME_CHARS * self._limits.members:
            raise self._refused("its names are too long for as many", "max_members")
        if name.count("/") + name.count("\\") > self._limits.depth:
            raise self._refused(
                f"{shown(name)} lies more than {self._limits.depth} folders deep", "max_depth"
            )

    def check_member(self, name: str, size_bytes: int) -> None:
        """Check the size of one file.

        Raises:
            DataError: it is larger than a file may be.
        """
        if size_bytes > self._limits.member_bytes:
            raise self._refused(
                f"{shown(name)} holds more than {self._limits.member_bytes} bytes",
                "max_member_bytes",
            )

    def add(self, n_bytes: int) -> None:
        """Count bytes that came out.

        Raises:
            DataError: they are more than the whole source may hold.
        """
        self._bytes += n_bytes
        if self._bytes > self._limits.total_bytes:
            raise self._refused(
                f"it unpacks to more than {self._limits.total_bytes} bytes", "max_total_bytes"
            )
        if self._packed_bytes is None or self._bytes <= RATIO_FROM_BYTES:
            return
        if self._bytes > self._limits.ratio * self._packed_bytes():
            raise self._refused(
                f"it unpacks to more than {self._limits.ratio} times its compressed size, "
                "as only a bomb does",
                "max_ratio",
            )

    def read(self, file: IO[bytes], name: str, *, chunk_bytes: int = CHUNK_BYTES) -> bytes:
        """Return all of an opened member, counting as it comes whatever its header says."""
        chunks: list[bytes] = []
        n_bytes = 0
        while chunk := file.read(chunk_bytes):
            n_bytes += len(chunk)
            self.add(len(chunk))
            self.check_member(name, n_bytes)
            chunks.append(chunk)
        return b"".join(chunks)

    def _refused(self, why: str, key: str) -> DataError:
        return DataError(f"{self._name}: refused: {why}; if it is meant, raise data.{key}")
