"""Validation accuracy by how an image becomes a square (`pack.fit`).

    python -m benchmarks.fit --seeds 3

Everything else is the recipe of params.yaml, a quarter of the images is for validation, and the
learning rate is found once, so that the fits differ in nothing else.
"""

import argparse
import logging
import statistics
import sys
from dataclasses import replace

from benchmarks.projects import packed_project, with_source
from pipeline.core.artifacts import EpochRecord, read_records
from pipeline.core.params import load_params
from pipeline.imaging.preprocess import FITS
from stages import lr_find, pack, train


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", default="synthetic", help="an archive or folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fits", nargs="+", choices=sorted(FITS), default=sorted(FITS))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    params = with_source(load_params(), arguments.source)
    params = replace(params, split=replace(params.split, valid_fraction=0.25, test_fraction=0.05))
    with packed_project(params) as layout:
        lr_find.run(params, layout)
        for fit in arguments.fits:
            fitted = replace(params, pack=replace(params.pack, fit=fit))
            pack.run(fitted, layout)
            found = []
            for seed in range(arguments.seeds):
                train.run(replace(fitted, train=replace(params.train, seed=seed)), layout)
                history = read_records(layout.history, EpochRecord, stage="train")
                found.append(next(r.valid_accuracy for r in history if r.kept))
            each = ", ".join(f"{accuracy:.3f}" for accuracy in found)
            print(f"{fit:8s} mean {statistics.mean(found):.4f}  ({each})", flush=True)


if __name__ == "__main__":
    main()
