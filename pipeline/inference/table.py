"""Results as CSV, written row by row."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from pipeline.core.artifacts import prob_column
from pipeline.inference.batch import Result


def write_table(file: IO[bytes], classes: Sequence[str], results: Iterable[Result]) -> int:
    """Write `path,predicted,confidence,prob_<class>...,error`; return how many rows have an error.

    UTF-8 with Unix line ends. A byte of a file name that is not UTF-8 is written in hexadecimal
    behind a backslash and an x, so that one odd name does not make the table unreadable.
    """
    header = ["path", "predicted", "confidence", *map(prob_column, classes), "error"]
    file.write(_line(header))
    n_errors = 0
    for result in results:
        file.write(_line(_row(result, classes)))
        n_errors += bool(result.error)
    return n_errors


def _row(result: Result, classes: Sequence[str]) -> Iterator[str]:
    yield result.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if result.probs is None:
        yield from [""] * (2 + len(classes))
    else:
        yield classes[int(result.probs.argmax())]
        yield f"{result.probs.max():.6f}"
        yield from (f"{p:.6f}" for p in result.probs)
    yield result.error


def _line(values: Iterable[str]) -> bytes:
    # The writer quotes what occurs in its own line end: a name may hold a lone carriage return.
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().removesuffix("\r\n").encode() + b"\n"
