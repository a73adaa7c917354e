"""What the card says, read from the artifacts; nothing is measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pipeline.core.artifacts import SliceRow, read_json, read_records
from pipeline.core.atomic import sha256_file
from pipeline.core.layout import Layout
from pipeline.core.params import CardParams
from pipeline.imaging.spec import ModelSpec
from pipeline.sources.locations import PRESETS, Remote, is_synthetic

WEAK_SLICES = 10
FEW_CLASSES = 6
"""So many the title names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the card shows."""

    spec: ModelSpec
    """Of the exported model."""
    said: CardParams
    sources: tuple[str, ...]
    """Where the images come from, for people anywhere: no folder of this machine, no password."""
    weights: str
    """What training started from: `none`, `imagenet`, or the name of a file."""
    weights_licence: str | None
    """Of published weights, where they state one."""
    reject_risk: float | None
    reject_coverage: float | None
    data: Mapping[str, Any]
    """reports/data/summary.json."""
    training: Mapping[str, Any]
    """reports/train/metrics.json."""
    metrics: Mapping[str, Any]
    """reports/evaluate/metrics.json."""
    slices: tuple[SliceRow, ...]
    export: Mapping[str, Any]
    """reports/export_onnx/metrics.json."""
    neither: Mapping[str, Any]
    """What `ask_about_neither` found."""
    sha256: Mapping[str, str]
    """Of files, by their paths in the repository."""

    @property
    def weak_slices(self) -> list[SliceRow]:
        """Slices whose whole interval lies below the accuracy of all test images, worst first."""
        weak = [row for row in self.slices if row.accuracy_high < self.metrics["accuracy"]]
        return sorted(weak, key=lambda r: (r.accuracy, r.slice, r.value))[:WEAK_SLICES]

    @property
    def title(self) -> str:
        """The given title, or one made of the classes."""
        classes = self.spec.classes
        some = ", ".join(classes) if len(classes) <= FEW_CLASSES else f"{len(classes)} classes"
        return self.said.title or f"Image classifier: {some}"


def read_facts(
    layout: Layout,
    *,
    spec: ModelSpec,
    said: CardParams,
    sources: Sequence[str],
    weights: str,
    weights_licence: str | None,
    reject_risk: float | None,
    reject_coverage: float | None,
    neither: Mapping[str, Any],
) -> Facts:
    """Read what the stages found.

    Raises:
        ArtifactError: an artifact is missing or malformed; the message names the stage to run.
    """
    return Facts(
        spec=spec,
        said=said,
        sources=tuple(sources),
        weights=weights if weights in ("none", "imagenet") else public_name(weights),
        weights_licence=weights_licence,
        reject_risk=reject_risk,
        reject_coverage=reject_coverage,
        data=read_json(layout.data_summary, stage="split"),
        training=read_json(layout.train_metrics, stage="train"),
        metrics=read_json(layout.metrics, stage="evaluate"),
        slices=tuple(read_records(layout.slices, SliceRow, stage="evaluate")),
        export=read_json(layout.export_metrics, stage="export_onnx"),
        neither=neither,
        sha256={
            path.relative_to(layout.root).as_posix(): sha256_file(path)
            for path in (layout.onnx_model, layout.model, layout.raw_archive, layout.split)
        },
    )


def public_names(
    source: str | Sequence[str],
    sha256: str | Sequence[str | None] | None,
    *,
    synthetic_images: int,
    synthetic_seed: int,
) -> list[str]:
    """Return a line for every item of `data.source`, with its checksum where one is pinned."""
    if is_synthetic(source):
        return [f"synthetic: {synthetic_images} cats and dogs, drawn with seed {synthetic_seed}"]
    texts = [source] if isinstance(source, str) else list(source)
    given = [sha256] if isinstance(sha256, str) else list(sha256 or [None] * len(texts))
    return [
        public_name(text) + (f", sha256 {checksum}" if checksum else "")
        for text, checksum in zip(texts, given, strict=True)
    ]


def public_name(text: str) -> str:
    """Return a source's name without folders of this machine, passwords and queries."""
    if text in PRESETS:
        return f"{text} ({PRESETS[text].name})"
    if "://" in text and not text.startswith("file:"):
        return Remote(url=text).name
    return PurePosixPath(text.replace("\\", "/")).name or "a folder"
