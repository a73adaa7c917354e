"""Classify images of any number with an exported model; writes one row per image."""

import argparse
import logging
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO

from pipeline.core.arguments import command_parser, whole_number
from pipeline.core.atomic import replacing
from pipeline.core.errors import ArtifactError, DataError
from pipeline.core.process import available_cores, guarded
from pipeline.core.progress import Progress, with_progress
from pipeline.inference import golden
from pipeline.inference.batch import REASONS, Chunk, Result, chunks, classify
from pipeline.inference.classifier import OnnxClassifier
from pipeline.inference.inputs import Inputs
from pipeline.inference.journal import SUFFIX, Journal
from pipeline.inference.providers import CPU, DEVICES
from pipeline.inference.table import FORMATS, Columns, choose_format, write_table

log = logging.getLogger(__name__)

NAME = "pipeline.inference"
SIGINT_STATUS = 130
BATCH_SIZE_CPU, BATCH_SIZE_GPU = 16, 128
DETAILS = f"""\
PATH is an image, a folder with all its subfolders, a zip or tar archive (read without unpacking), a
pattern in quotes ('photos/**/*.jpg'), or - for a list of paths on standard input, separated by line
ends or NUL bytes. In folders and archives hidden files, Thumbs.db, desktop.ini and names ending in
.txt, .csv, .json, .jsonl, .md, .parquet and .partial are passed over; their number is told.

The columns are path, label, confidence, unsure (if the model has a threshold), prob_<class> for
each class, and reason. Every input has one row, in the order of the inputs; one that cannot be used
has a reason: {", ".join(REASONS)}.

Rows are kept in FILE.partial until all are there. After an interruption of any kind run the same
command again: it goes on, and FILE has the same bytes as if nothing had happened.

exit status: 0 when every image has its row; 1 with one line on stderr where the model or a PATH
cannot be read, FILE cannot be written, or there is no image at all; 130 after Ctrl-C, 143 after
SIGTERM. FILE is written whole or not at all.

example: python -m pipeline.inference models/model.onnx holiday/ cats.zip --out predictions.csv
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's values."""
    parser = command_parser(NAME, description=__doc__, details=DETAILS)
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="the .onnx file; MODEL.sha256 lies beside it")
    add("paths", metavar="PATH", nargs="+", help="image, folder, archive, pattern, or -")
    add("--out", metavar="FILE", type=Path, help="file to write (default: CSV to standard output)")
    add("--format", choices=FORMATS, help="of FILE (default: by its suffix)")
    add("--fresh", action="store_true", help="start over instead of going on")
    add(
        "--batch-size",
        metavar="N",
        type=whole_number,
        help=f"images per call (default: {BATCH_SIZE_CPU}, on a GPU {BATCH_SIZE_GPU})",
    )
    add("--workers", metavar="N", type=whole_number, help="processes (default: one per core)")
    add(
        "--device",
        choices=DEVICES,
        default="auto",
        help="auto takes CUDA where it works (%(default)s)",
    )
    return parser.parse_args(argv)


def main(arguments: argparse.Namespace) -> None:
    """Classify what the command line names."""
    with _told_how_to_go_on(arguments.out):
        kind = choose_format(arguments.out, arguments.format)
        _check_out(arguments.out)
        inputs = Inputs(arguments.paths)
        run = _Run(arguments, inputs, kind)
        counted = run.to_stdout() if arguments.out is None else run.to_file(arguments.out)
    n_refused = counted.total() - counted[""]
    reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(counted.items()) if reason)
    log.info("%d images classified, %d could not be used", counted[""], n_refused)
    if reasons:
        log.info("reasons: %s", reasons)
    if inputs.n_passed_over:
        log.info("%d files passed over for their names", inputs.n_passed_over)


class _Run:
    """One run: what to classify, with what, and how the rows are written."""

    def __init__(self, arguments: argparse.Namespace, inputs: Inputs, kind: str) -> None:
        self._arguments, self._inputs, self._kind = arguments, inputs, kind
        self._total = inputs.count()
        if self._total == 0:
            raise self._nothing()
        self._classifier = OnnxClassifier(arguments.model, device=arguments.device)
        self._provider = self._classifier.provider
        self._batch_size = arguments.batch_size or (
            BATCH_SIZE_CPU if self._provider == CPU else BATCH_SIZE_GPU
        )
        threshold = self._classifier.spec.threshold
        self._columns = Columns(self._classifier.spec.classes, threshold is not None)

    def to_file(self, out: Path) -> Counter[str]:
        """Write FILE, going on where an earlier run stopped."""
        # Also the batch size: the last bits of a probability depend on what goes along with it.
        depends_on = {
            "model": self._classifier.sha256,
            "batch size": str(self._batch_size),
            "device": self._provider,
        }
        with Journal(out, depends_on, fresh=self._arguments.fresh) as journal:
            self._fill(journal)
            if journal.n_rows == 0:
                journal.remove()
                raise self._nothing()
            with replacing(out) as file:
                counted = write_table(file, self._kind, self._columns, journal.rows())
            journal.remove()
        return counted

    def to_stdout(self) -> Counter[str]:
        """Write to standard output as the results come."""
        results = chain.from_iterable(self._results(chunks(self._inputs, size=self._batch_size)))
        with _stdout() as file:
            shown = with_progress(results, "classify", total=self._total)
            counted = write_table(file, self._kind, self._columns, shown)
        if not counted.total():
            raise self._nothing()
        return counted

    def _fill(self, journal: Journal) -> None:
        rest = journal.remaining(chunks(self._inputs, size=self._batch_size))
        if journal.n_rows:
            log.info("%d images were done before; going on (--fresh starts over)", journal.n_rows)
        with Progress("classify", total=self._total) as progress:
            progress.advance(journal.n_rows)
            for rows in self._results(rest):
                journal.append(rows)
                progress.advance(len(rows))

    def _results(self, parts: Iterator[Chunk]) -> Iterator[list[Result]]:
        log.info("classifying %s images on %s", self._total or "the", self._provider)
        return classify(
            self._classifier,
            self._arguments.model,
            parts,
            workers=self._arguments.workers or available_cores(),
            sha256=self._classifier.sha256,
        )

    def _nothing(self) -> DataError:
        return DataError(f"no image in {', '.join(self._arguments.paths)}")


@contextmanager
def _told_how_to_go_on(out: Path | None) -> Iterator[None]:
    """Leave on Ctrl-C and SIGTERM with one line and the status that says so."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stopped:
        done = f"{out}{SUFFIX} holds what is done" if out else "the table is cut off"
        print(f"{NAME}: stopped; {done}; run the same command again to go on", file=sys.stderr)
        status = SIGINT_STATUS if isinstance(stopped, KeyboardInterrupt) else stopped.code
        raise SystemExit(status) from None


def _check_out(out: Path | None) -> None:
    """Find out before the work, not after it; /dev/null must not be replaced by a file."""
    if out is None:
        return
    if out.is_symlink() or (out.exists() and not stat.S_ISREG(out.stat().st_mode)):
        raise ArtifactError(f"{out}: not a regular file; give --out another name")
    if not out.parent.is_dir():
        raise ArtifactError(f"{out}: cannot be written: {out.parent} is no folder; make it first")


@contextmanager
def _stdout() -> Iterator[IO[bytes]]:
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still buffered cannot be written either: Python would say so once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ArtifactError(f"standard output: {error.strerror}; the table is cut off") from error


if __name__ == "__main__":
    if golden.FLAG in sys.argv[1:]:
        sys.exit(guarded(golden.main, name=NAME))
    parsed = parse()
    sys.exit(guarded(lambda: main(parsed), name=NAME))
