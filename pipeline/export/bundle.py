"""Everything that one export leaves, written once all of it is proved."""

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.artifacts import remove_artifact
from pipeline.core.atomic import (
    replacing_folder,
    sha256_path,
    write_bytes,
    write_json,
    write_sha256,
)
from pipeline.core.errors import ExportError
from pipeline.core.layout import Layout
from pipeline.export.int8 import PRECISION, ProvedInt8
from pipeline.export.parity import Gate, Parity, spread
from pipeline.export.preprocess_graph import ProvedPreprocess
from pipeline.export.proof import Proved
from pipeline.export.repository import write_repository
from pipeline.imaging.spec import ModelSpec
from pipeline.inference.golden import DEFAULT_PRECISION, write_golden

INT8_TOLERANCE = 0.02
"""Least tolerance of the golden files for INT8: CPUs round its sums differently."""
INT8_MARGIN = 1.5
"""Times the largest difference of a golden image on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What was exported and proved."""

    spec: ModelSpec
    gate: Gate
    """What it was proved with."""
    contents: tuple[bytes, ...]
    """The encoded images of the gate's reference, M of them."""
    proved: Proved
    preprocess: ProvedPreprocess
    int8: ProvedInt8


def write_bundle(bundle: Bundle, layout: Layout, *, n_golden: int) -> None:
    """Write the models, the golden files, the repository and the metrics."""
    for path, content in (
        (layout.onnx_model, bundle.proved.content),
        (layout.preprocess_model, bundle.preprocess.content),
    ):
        write_bytes(path, content)
        write_sha256(path)
    metrics = export_metrics(bundle)
    with replacing_folder(layout.int8) as folder:
        write_json(folder / "gate.json", metrics["int8"])
        if bundle.int8.content is not None:
            write_bytes(folder / layout.onnx_model.name, bundle.int8.content)
            write_sha256(folder / layout.onnx_model.name)
    rows = spread(len(bundle.contents), n_golden)
    write_golden(
        layout.golden,
        classes=bundle.spec.classes,
        paths=[bundle.gate.reference.paths[row] for row in rows],
        contents=[bundle.contents[row] for row in rows],
        probs=bundle.gate.reference.probs[rows],
        tolerance=_tolerances(bundle, rows),
    )
    write_repository(
        layout.repository,
        model=bundle.proved.content,
        preprocess=bundle.preprocess.content,
        int8=bundle.int8.content,
        golden=layout.golden,
    )
    write_json(layout.export_metrics, metrics)


@contextmanager
def removing_unproved(layout: Layout) -> Iterator[None]:
    """Remove what an earlier export left if the block's fails: it is of another model."""
    try:
        yield
    except ExportError:
        for path in (layout.onnx_model, layout.preprocess_model):
            for file in (path, sha256_path(path)):
                remove_artifact(file)
        for folder in (layout.int8, layout.golden, layout.repository):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def export_metrics(bundle: Bundle) -> dict[str, Any]:
    """Return what was measured, ready for JSON."""
    int8: dict[str, Any] = {"status": bundle.int8.status, "reason": bundle.int8.reason}
    if bundle.int8.parity is not None and bundle.int8.content is not None:
        int8 |= _figures(bundle.int8.parity) | {"bytes": len(bundle.int8.content)}
    return {
        **_figures(bundle.proved.parity),
        "exporter": bundle.proved.exporter,
        "exporters_failed": bundle.proved.failed,
        "bytes": len(bundle.proved.content),
        "int8": int8,
        "preprocess": asdict(bundle.preprocess.skew),
    }


def _figures(parity: Parity) -> dict[str, Any]:
    figures = asdict(parity) | {"max_prob_diff": parity.max_prob_diff}
    del figures["prob_diffs"]
    for name in ("accuracy", "accuracy_diff", "log_loss", "log_loss_diff"):
        figures[name] = round(figures[name], 4) + 0.0  # no negative zero
    for name in ("max_logit_diff", "max_prob_diff", "max_cam_diff"):
        # One digit: the last bits of a sum differ between machines, and the file is kept in Git.
        figures[name] = None if figures[name] is None else float(f"{figures[name]:.0e}")
    return {**figures, "n_flipped": len(parity.flipped)}


def _tolerances(bundle: Bundle, rows: NDArray[np.int64]) -> dict[str, float]:
    """Return the largest difference by precision; `rows` are those of the golden images."""
    tolerances = {DEFAULT_PRECISION: bundle.gate.limits.max_prob_diff}
    if bundle.int8.parity is not None:
        wide = INT8_MARGIN * max(bundle.int8.parity.prob_diffs[row] for row in rows)
        tolerances[PRECISION] = max(INT8_TOLERANCE, math.ceil(wide * 1000) / 1000)
    return tolerances
