"""The bare loop over a zip archive that is the limit of batch prediction; imports nothing else."""

import argparse
import zipfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from pipeline.core.errors import ImageError
from pipeline.inference.classifier import OnnxClassifier


def main() -> None:
    """Run the loop in several processes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    arguments = parser.parse_args()
    context = get_context("spawn")
    shares = [
        context.Process(target=_loop, args=(arguments, share, arguments.workers))
        for share in range(arguments.workers)
    ]
    for process in shares:
        process.start()
    for process in shares:
        process.join()
        assert process.exitcode == 0


def _loop(arguments: argparse.Namespace, share: int, of: int) -> None:
    classifier = OnnxClassifier(arguments.model, device="cpu")
    batch = []
    with zipfile.ZipFile(arguments.source) as archive:
        for name in members(archive)[share::of]:
            try:
                batch.append(classifier.pixels(archive.read(name)))
            except (ImageError, zipfile.BadZipFile):
                continue
            if len(batch) == arguments.batch_size:
                classifier.predict(np.stack(batch))
                batch.clear()
    if batch:
        classifier.predict(np.stack(batch))


def members(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the images."""
    return [name for name in archive.namelist() if not name.endswith(("/", ".txt", ".db"))]


if __name__ == "__main__":
    main()
