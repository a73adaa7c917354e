"""Everything that the page is about, read from the artifacts and checked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.analysis.figures import Figures, check_predictions, read_figures, read_history
from pipeline.analysis.mending import Marks, as_marks, settled, unambiguous_names
from pipeline.analysis.parts import Slice, slices_with_paths
from pipeline.analysis.reproduce import Origin, origin
from pipeline.analysis.suspects import Suspect, rank_suspects, read_all_predictions
from pipeline.core.archive import read_members
from pipeline.core.artifacts import (
    CurvePoint,
    EpochRecord,
    Predictions,
    Rejected,
    ReliabilityBin,
    RiskPoint,
    Sample,
    SliceRow,
    Suggestion,
    SweepPoint,
    read_json,
    read_records,
    read_suggestion,
)
from pipeline.core.errors import ArtifactError
from pipeline.core.layout import Layout
from pipeline.data.corrections import Corrections, read_corrections
from pipeline.data.metadata import read_metadata
from pipeline.evaluation.slices import image_traits, people_traits, slices_of
from pipeline.imaging.spec import ModelSpec
from pipeline.insight.network import NetworkView
from pipeline.packing.packed import PackedSplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that the page is about."""

    spec: ModelSpec
    figures: Figures
    predictions: Predictions
    """Of the test split."""
    samples: Sequence[Sample]
    rejected: Sequence[Rejected]
    curve: Sequence[CurvePoint]
    sweeps: Sequence[SweepPoint]
    """Of the whole network."""
    suggestion: Suggestion
    lr_reason: str
    """Why the range test has the verdict that it has."""
    history: Sequence[EpochRecord]
    suspects: Sequence[Suspect]
    """Every image, those of the most doubtful labels first."""
    slices: Sequence[Slice]
    reliability: Sequence[ReliabilityBin]
    risk: Sequence[RiskPoint]
    marks: Marks
    """What data/corrections.csv says already."""
    names: Mapping[str, str]
    """What a correction must call an image, where that is not its path."""
    network: NetworkView
    origin: Origin


def read_findings(
    layout: Layout,
    *,
    spec: ModelSpec,
    test: PackedSplit,
    network: NetworkView,
    parameters: Mapping[str, Mapping[str, Any]],
) -> Findings:
    """Read what the other stages found.

    Args:
        layout: where it lies.
        spec: of the model.
        test: the packed test images.
        network: what is to be seen inside it.
        parameters: what the run was made with, by section and key.

    Raises:
        ArtifactError: a file is missing or malformed, or of another run than the others.
    """
    predictions = read_all_predictions(layout)
    for rows, path in (
        (predictions["test"], layout.predictions),
        (predictions["valid"], layout.valid_predictions),
        (predictions["train"], layout.train_predictions),
    ):
        check_predictions(rows, classes=spec.classes, where=path)
    members = read_members(layout.raw_archive)
    corrections = read_corrections(layout.corrections, members)
    marks = as_marks(corrections)
    samples = read_records(layout.split, Sample, stage="split")
    return Findings(
        spec=spec,
        figures=read_figures(layout.metrics, predictions["test"]),
        predictions=predictions["test"],
        samples=samples,
        rejected=read_records(layout.rejected, Rejected, stage="split"),
        curve=read_records(layout.lr_curve, CurvePoint, stage="lr_find"),
        sweeps=[
            point
            for point in read_records(layout.lr_sweeps, SweepPoint, stage="lr_find")
            if point.part == "whole"
        ],
        suggestion=read_suggestion(layout.suggestion),
        lr_reason=_lr_reason(layout),
        history=read_history(layout.history),
        suspects=rank_suspects(predictions, leave_out=settled(marks)),
        slices=slices_with_paths(
            read_records(layout.slices, SliceRow, stage="evaluate"),
            _members_of_slices(
                test,
                samples,
                classes=spec.classes,
                corrections=corrections,
                columns=read_metadata(layout.metadata, members).more,
            ),
        ),
        reliability=read_records(layout.reliability, ReliabilityBin, stage="evaluate"),
        risk=read_records(layout.risk_coverage, RiskPoint, stage="evaluate"),
        marks=marks,
        names=unambiguous_names(members),
        network=network,
        origin=origin(
            [layout.model, layout.raw_archive, layout.split],
            model=layout.model,
            parameters=parameters,
            training=_training(layout),
        ),
    )


def _lr_reason(layout: Layout) -> str:
    content = read_json(layout.lr_rules, stage="lr_find")
    try:
        return str(content["whole"]["reason"])
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{layout.lr_rules}: no reason; run: dvc repro lr_find") from error


def _members_of_slices(
    test: PackedSplit,
    samples: Sequence[Sample],
    *,
    classes: Sequence[str],
    corrections: Corrections,
    columns: Mapping[str, Mapping[str, str]],
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield trait, value and paths of each part of the test images."""
    traits = [
        *people_traits(test, classes=classes, corrections=corrections, columns=columns),
        *image_traits(test, {sample.path: sample for sample in samples}),
    ]
    for name, value, where in slices_of(traits):
        yield name, value, [test.paths[i] for i in where.nonzero()[0]]


def _training(layout: Layout) -> Mapping[str, Any]:
    content = read_json(layout.train_metrics, stage="train")
    if not isinstance(content, Mapping):
        raise ArtifactError(f"{layout.train_metrics}: malformed; run: dvc repro train")
    return content
