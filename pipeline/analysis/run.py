"""Everything that one run of the pipeline left behind and the page shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.analysis.kernels import KernelSet
from pipeline.core.artifacts import (
    CurvePoint,
    EpochRecord,
    Predictions,
    Rejected,
    Sample,
    Suggestion,
)
from pipeline.core.errors import ArtifactError
from pipeline.imaging.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The artifacts of one run, read."""

    samples: tuple[Sample, ...]
    rejected: tuple[Rejected, ...]
    suggestion: Suggestion
    curve: tuple[CurvePoint, ...]
    history: tuple[EpochRecord, ...]
    predictions: Predictions
    """Of the test split."""
    metrics: Mapping[str, Any]
    """Of the test split; what `figures.check_metrics` returned."""
    spec: ModelSpec
    kernels: tuple[KernelSet, ...]
    archive_sha256: str
    model_sha256: str


def check_predictions(predictions: Predictions, spec: ModelSpec, *, where: str) -> Predictions:
    """Return `predictions` if they were made by a model with these classes.

    Raises:
        ArtifactError: the classes differ, or a row names a class that is not one of them.
    """
    if predictions.classes != spec.classes:
        raise ArtifactError(
            f"{where}: classes are {', '.join(predictions.classes)}, the model has "
            f"{', '.join(spec.classes)}; run: dvc repro evaluate"
        )
    known = set(spec.classes)
    for row in predictions.rows:
        if row.label not in known or row.predicted not in known:
            raise ArtifactError(
                f"{where}: {row.path}: {row.label!r} or {row.predicted!r} is not a class of the "
                "model; run: dvc repro evaluate"
            )
    return predictions
