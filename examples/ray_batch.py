"""Batch prediction on a Ray cluster, for data beyond one machine.

    pip install "ray[data]"
    python -m examples.ray_batch MODEL SOURCE OUT --workers 2

SOURCE is a folder or bucket that Ray Data reads (a path, s3://..., gs://...), OUT a folder for
Parquet files. Every worker holds one `OnnxClassifier`, the same as on one machine: same decoding,
preprocessing, probabilities and reasons. MODEL and its .sha256 must lie at that path on every node.
Rows come in no particular order; Ray repeats the work of a node that is lost.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import ray

from pipeline.inference.batch import classify_contents
from pipeline.inference.classifier import OnnxClassifier
from pipeline.inference.table import Columns

# Workers that take whole cores leave none for the tasks that read and write, on which they wait.
WORKER_CPUS = 0.8
IO = {"num_cpus": 0.1}


class Classify:
    """Turns batches of (path, bytes) into rows of predictions; one to a worker."""

    def __init__(self, model: str) -> None:
        self._classifier = OnnxClassifier(Path(model))
        spec = self._classifier.spec
        self._columns = Columns(spec.classes, spec.threshold is not None)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the columns of batch prediction's table."""
        named = zip(map(str, batch["path"]), batch["bytes"], strict=True)
        results = classify_contents(self._classifier, named)
        rows = [self._columns.values(result) for result in results]
        columns = zip(self._columns.names, zip(*rows, strict=True), strict=True)
        return {name: _array(name, values) for name, values in columns}


def _array(name: str, values: tuple[Any, ...]) -> Any:
    if name in ("path", "label", "reason"):
        return np.array(["" if value is None else value for value in values], dtype=object)
    missing = False if name == "unsure" else np.nan
    return np.array([missing if value is None else value for value in values])


def predict(model: Path, source: str, out: Path, *, workers: int, batch_size: int = 16) -> None:
    """Classify every file below `source` and write Parquet files into `out`."""
    (
        ray.data.read_binary_files(source, include_paths=True, ray_remote_args=IO)
        .map_batches(
            Classify,
            fn_constructor_args=(str(model.resolve()),),
            batch_size=batch_size,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=WORKER_CPUS,
        )
        .write_parquet(str(out.resolve()), ray_remote_args=IO)
    )


def main() -> None:
    """Run from the command line, on the cluster that RAY_ADDRESS names or on this machine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("source")
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    predict(arguments.model, arguments.source, arguments.out, workers=arguments.workers)


if __name__ == "__main__":
    main()
