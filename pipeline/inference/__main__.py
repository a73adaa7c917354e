"""Classify files, folders and zip archives with an exported model; writes one CSV row per image."""

import argparse
import logging
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.core.atomic import replacing
from pipeline.core.errors import ArtifactError, DataError
from pipeline.core.process import available_cores, guarded
from pipeline.core.progress import with_progress
from pipeline.inference import golden
from pipeline.inference.arguments import OneLineParser, whole_number
from pipeline.inference.batch import classify
from pipeline.inference.classifier import OnnxClassifier
from pipeline.inference.inputs import Inputs
from pipeline.inference.providers import DEVICES
from pipeline.inference.table import write_table

log = logging.getLogger(__name__)

NAME = "pipeline.inference"
DETAILS = """\
A folder is searched with all its subfolders, in sorted order; hidden files, Thumbs.db, desktop.ini
and names ending in .txt, .csv, .json or .md are passed over. A zip archive is read without
unpacking; its members are called ARCHIVE.zip/MEMBER. A file that is named itself is always tried.

The columns are path, predicted, confidence, prob_<class> for each class, and error. An image that
cannot be used is a row with an error, and no reason to stop.

exit status: 0 when every image has its row; 1 with one line on stderr where the model or a PATH
cannot be read or there is no image at all; 130 after Ctrl-C. FILE is written whole or not at all.

example: python -m pipeline.inference models/model.onnx holiday/ cats.zip --out predictions.csv
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's values."""
    parser = OneLineParser(
        prog=f"python -m {NAME}",
        description=__doc__,
        epilog=DETAILS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="the .onnx file; MODEL.sha256 lies beside it")
    add("paths", metavar="PATH", type=Path, nargs="+", help="image file, folder or zip archive")
    add("--out", metavar="FILE", type=Path, help="CSV file to write (default: standard output)")
    add(
        "--batch-size",
        metavar="N",
        type=whole_number,
        default=16,
        help="images per call (%(default)s)",
    )
    add(
        "--threads",
        metavar="N",
        type=whole_number,
        help="images decoded at once (default: all cores)",
    )
    add(
        "--device",
        choices=DEVICES,
        default="auto",
        help="auto takes CUDA where it works (%(default)s)",
    )
    return parser.parse_args(argv)


def main(arguments: argparse.Namespace) -> None:
    """Classify what the command line names."""
    # Filters are global: those that `decode` sets around a call do not hold between threads.
    warnings.filterwarnings("ignore", module="PIL")
    _check_out(arguments.out)
    with Inputs(arguments.paths) as inputs:
        n_images = sum(1 for _ in inputs)
        if n_images == 0:
            raise DataError(f"no image in {', '.join(map(str, arguments.paths))}")
        classifier = OnnxClassifier(arguments.model, device=arguments.device)
        log.info("classifying %d images on %s", n_images, classifier.provider)
        results = classify(
            classifier,
            inputs,
            batch_size=arguments.batch_size,
            threads=arguments.threads or available_cores(),
        )
        with _destination(arguments.out) as file:
            shown = with_progress(results, "classify", total=n_images)
            n_errors = write_table(file, classifier.spec.classes, shown)
    log.info("%d images classified, %d could not be used", n_images - n_errors, n_errors)


def _check_out(out: Path | None) -> None:
    """Find out before the work, not after it; /dev/null must not be replaced by a file."""
    if out is not None and out.exists() and not stat.S_ISREG(out.stat().st_mode):
        raise ArtifactError(f"{out}: not a regular file; give --out another name")


@contextmanager
def _destination(out: Path | None) -> Iterator[IO[bytes]]:
    if out is not None:
        with replacing(out) as file:
            yield file
        return
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
