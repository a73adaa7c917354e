"""What batch prediction has found so far, in FILE.partial, so that a killed run goes on.

A header line with what the results depend on, then one line per chunk: a CRC-32 and the rows as
JSON. Lines are only appended; the first that is not whole ends what a killed run left, and is cut
off. A line stands as long as its inputs are still the ones that the command line names.
"""

import fcntl
import json
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pipeline.core.errors import ArtifactError
from pipeline.inference.batch import Chunk, Result

log = logging.getLogger(__name__)

SUFFIX = ".partial"
MAGIC = b"# rows of an unfinished pipeline.inference, format 1: "


class Journal:
    """The rows of one output file, locked; use as a context manager.

    Args:
        out: the output file; the journal lies beside it.
        depends_on: what the results depend on besides the images; a journal of other values is
            begun anew.
        fresh: begin anew in any case.

    Raises:
        ArtifactError: it cannot be written, is not ours, or another run is writing it.
    """

    def __init__(self, out: Path, depends_on: dict[str, str], *, fresh: bool = False) -> None:
        self.path = out.with_name(out.name + SUFFIX)
        self.n_rows = 0
        """Rows that stand; valid once `remaining` has returned."""
        header = MAGIC + json.dumps(depends_on, sort_keys=True).encode() + b"\n"
        with _writing(self.path):
            self._file = _open_locked(self.path)
        try:
            self._begin(header, depends_on, fresh=fresh)
        except BaseException:
            self._file.close()
            raise

    def remaining(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Return the chunks whose rows are missing, after cutting off what does not stand."""
        end, ahead = self._file_start, []
        for rows, line_end in self._lines():
            chunk = next(chunks, None)
            if chunk is None or [item.path for item in chunk.inputs] != [r.path for r in rows]:
                log.warning("the inputs are not those of before: all from there on is done anew")
                ahead = [chunk] if chunk else []
                break
            self.n_rows += len(rows)
            end = line_end
        with _writing(self.path):
            self._file.truncate(end)
            self._file.seek(end)
        return chain(ahead, chunks)

    def append(self, rows: list[Result]) -> None:
        """Add the rows of the next chunk."""
        values = [[r.path, r.reason, r.label, r.unsure, r.probs] for r in rows]
        text = json.dumps(values, separators=(",", ":")).encode()
        rest = memoryview(b"%08x %b\n" % (zlib.crc32(text), text))
        with _writing(
            self.path,
            cure=f"mend that and run the same command again: {self.n_rows} images are done",
        ):
            while rest:
                rest = rest[self._file.write(rest) :]
        self.n_rows += len(rows)

    def rows(self) -> Iterator[Result]:
        """Yield all rows."""
        for rows, _ in self._lines():
            yield from rows

    def remove(self) -> None:
        """Remove the file: its rows are in the table."""
        with _writing(self.path):
            self.path.unlink(missing_ok=True)

    def _begin(self, header: bytes, depends_on: dict[str, str], *, fresh: bool) -> None:
        with _writing(self.path):
            found = self._file.readline(1 << 16)
        if found and not found.startswith(MAGIC) and not header.startswith(found):
            raise ArtifactError(
                f"{self.path}: not written by this command; move it, or give --out another name"
            )
        self._file_start = len(header)
        if found == header and not fresh:
            return
        if found.endswith(b"\n") and not fresh:
            log.warning(
                "%s: begun with another %s; starting anew", self.path, _differs(found, depends_on)
            )
        with _writing(self.path):
            self._file.truncate(0)
            self._file.seek(0)
            self._file.write(header)

    def _lines(self) -> Iterator[tuple[list[Result], int]]:
        """Yield the rows of every whole line with where it ends."""
        with open(self.path, "rb") as file:  # noqa: PTH123  (a position of its own)
            file.seek(self._file_start)
            for line in file:
                crc, _, text = line.rstrip(b"\n").partition(b" ")
                if not line.endswith(b"\n") or crc != b"%08x" % zlib.crc32(text):
                    return
                values = json.loads(text)
                yield [_result(*value) for value in values], file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


@contextmanager
def _writing(path: Path, *, cure: str = "") -> Iterator[None]:
    """Turn an OSError into one line."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be written: {error.strerror or error}{cure and '; '}{cure}"
        ) from error


def _open_locked(path: Path) -> IO[bytes]:
    """Open or make the file and hold the only lock on it."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.fdopen(os.open(path, flags, 0o644), "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise ArtifactError(
                f"{path}: another run is writing it; wait, or give --out another name"
            ) from error
        except OSError:  # a file system without locks
            return file
        if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
        file.close()  # a run that has just finished removed it


def _result(path: str, reason: str, label: int, unsure: bool, probs: list[float]) -> Result:
    return Result(path, reason, label, unsure, tuple(probs))


def _differs(found: bytes, depends_on: dict[str, str]) -> str:
    try:
        before = json.loads(found.removeprefix(MAGIC))
        names = [name for name, value in depends_on.items() if before.get(name) != value]
    except (ValueError, AttributeError):
        names = []
    return " and ".join(names) or "version"
