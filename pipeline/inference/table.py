"""Results as CSV, JSON lines or Parquet, written row by row; the same columns in each."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import IO, Any

from pipeline.core.artifacts import prob_column
from pipeline.core.errors import ArtifactError, InstallationError
from pipeline.inference.batch import DIGITS, Result

SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
FORMATS = ("csv", "jsonl", "parquet")
ROWS_PER_GROUP = 1 << 16


@dataclass(frozen=True, slots=True)
class Columns:
    """What a table holds besides the paths."""

    classes: tuple[str, ...]
    unsure: bool
    """The model has a threshold, so that the table has a column for it."""

    @property
    def names(self) -> list[str]:
        """All columns in order."""
        unsure = ["unsure"] if self.unsure else []
        return ["path", "label", "confidence", *unsure, *map(prob_column, self.classes), "reason"]

    def values(self, row: Result) -> list[Any]:
        """Return a row in that order; None where a refused input has nothing to say."""
        if row.reason:
            return [row.path, *[None] * (len(self.names) - 2), row.reason]
        unsure = [row.unsure] if self.unsure else []
        label, confidence = self.classes[row.label], row.probs[row.label]
        return [row.path, label, confidence, *unsure, *row.probs, None]


def choose_format(out: Path | None, given: str | None) -> str:
    """Return the format of a table, by its file's suffix unless one is given.

    Raises:
        ArtifactError: neither says one, or Parquet would have to go to standard output.
        InstallationError: pyarrow is missing for Parquet.
    """
    found = given or ("csv" if out is None else SUFFIXES.get(out.suffix.lower()))
    if found is None:
        raise ArtifactError(
            f"{out}: unknown suffix; expected {', '.join(SUFFIXES)}, or give --format"
        )
    if found == "parquet" and out is None:
        raise ArtifactError("parquet cannot go to standard output; give --out")
    if found == "parquet" and find_spec("pyarrow") is None:
        raise InstallationError("parquet needs pyarrow; run: pip install pyarrow, or write .csv")
    return found


def write_table(
    file: IO[bytes], kind: str, columns: Columns, results: Iterable[Result]
) -> Counter[str]:
    """Write the results; return how many there are by reason, "" for those with a prediction.

    csv      UTF-8, Unix line ends. A file name that is not UTF-8 keeps its own bytes: read the
             table with errors="surrogateescape" to get the name.
    jsonl    ASCII; what is not UTF-8 in a name is a lone surrogate, as Python has it.
    parquet  `path_bytes` holds a name that is not UTF-8; `path` shows such bytes as backslash, x
             and two digits.
    """
    counted: Counter[str] = Counter()
    rows = _counting(results, counted)
    if kind == "parquet":
        _write_parquet(file, columns, rows)
    elif kind == "jsonl":
        for row in rows:
            values = dict(zip(columns.names, columns.values(row), strict=True))
            file.write(json.dumps(values).encode() + b"\n")
    else:
        file.write(_line(columns.names))
        for row in rows:
            file.write(_line(map(_text, columns.values(row))))
    return counted


def _counting(results: Iterable[Result], counted: Counter[str]) -> Iterator[Result]:
    for result in results:
        counted[result.reason] += 1
        yield result


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.{DIGITS}f}"
    return "" if value is None else str(value)


def _line(values: Iterable[str]) -> bytes:
    # The writer quotes what occurs in its own line end: a name may hold a lone carriage return.
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape") + b"\n"


def _write_parquet(file: IO[bytes], columns: Columns, results: Iterator[Result]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"path": pa.string(), "label": pa.string(), "reason": pa.string(), "unsure": pa.bool_()}
    names = columns.names
    schema = pa.schema(
        [(name, kinds.get(name, pa.float64())) for name in names] + [("path_bytes", pa.binary())]
    )
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(results, ROWS_PER_GROUP)):
            rows = [[_shown(r.path), *columns.values(r)[1:], _raw(r.path)] for r in group]
            arrays = [pa.array(v, f.type) for v, f in zip(_transposed(rows), schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _transposed(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    return zip(*rows, strict=True)


def _shown(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _raw(path: str) -> bytes | None:
    """Return the bytes of a name that is not UTF-8."""
    raw = path.encode("utf-8", "surrogateescape")
    return None if _shown(path) == path else raw
