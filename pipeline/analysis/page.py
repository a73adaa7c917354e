"""The page for people: one HTML file that needs nothing beside it."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.analysis import advice, charts, dataset, matrix, ranking
from pipeline.analysis.figures import Figures, grouped, percent
from pipeline.analysis.selection import Selection
from pipeline.analysis.thumbnails import Thumbnail
from pipeline.core.artifacts import (
    SPLITS,
    CurvePoint,
    EpochRecord,
    Prediction,
    Predictions,
    Rejected,
    Sample,
    Suggestion,
)
from pipeline.imaging.spec import ModelSpec
from pipeline.insight.network import NetworkView
from pipeline.modeling.advice import advise, overfitting_epochs

TEMPLATES = Path(__file__).parent / "templates"
MAX_REJECTED = 200
MAX_CONFUSED = 20
ALL_BARS = 3
"""With at most so many classes a card shows every probability, in the order of the classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that the page is about."""

    spec: ModelSpec
    figures: Figures
    predictions: Predictions
    samples: Sequence[Sample]
    rejected: Sequence[Rejected]
    curve: Sequence[CurvePoint]
    suggestion: Suggestion
    history: Sequence[EpochRecord]
    network: NetworkView
    checksums: Mapping[str, str]
    """Sha256 by file name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The probability of one class on a card."""

    name: str
    prob: float
    is_label: bool


def render(findings: Findings, selection: Selection, images: Mapping[str, Thumbnail]) -> str:
    """Return the page as HTML; equal arguments give equal bytes.

    Args:
        findings: what the page reports.
        selection: which images it shows.
        images: a thumbnail for each path of the selection.
    """
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return _environment().get_template("page.html").render(
        found=findings,
        selection=selection,
        images=images,
        script=script,
        script_digest=digest,
        splits=SPLITS,
        class_index={name: k for k, name in enumerate(findings.spec.classes)},
        **_data(findings),
        **_training(findings),
        **_confusion(findings),
    )  # fmt: skip


def bars(row: Prediction, classes: Sequence[str]) -> list[Bar]:
    """Return the probabilities that a card shows: the largest three, and the label's."""
    found = [
        Bar(name=name, prob=prob, is_label=name == row.label)
        for name, prob in zip(classes, row.probs, strict=True)
    ]
    if len(found) <= ALL_BARS:
        return found
    found.sort(key=lambda bar: -bar.prob)
    return found[:ALL_BARS] + [bar for bar in found[ALL_BARS:] if bar.is_label]


def _data(findings: Findings) -> dict[str, object]:
    counts = dataset.class_counts(findings.samples, findings.spec.classes)
    totals = [sum(row.counts[s] for row in counts) for s in range(len(SPLITS))]
    return {
        "class_counts": counts,
        "split_totals": totals,
        "rejected": findings.rejected[:MAX_REJECTED],
        "reasons": dataset.reasons(findings.rejected),
    }


def _training(findings: Findings) -> dict[str, object]:
    history = findings.history
    return {
        "lr_chart": charts.lr_chart(findings.curve, suggested=findings.suggestion.lr),
        "lr_words": advice.describe_suggestion(findings.suggestion),
        "loss_chart": charts.loss_chart(history, shaded=overfitting_epochs(history)),
        "accuracy_chart": charts.accuracy_chart(history),
        "advice": advise(history),
        "kept": next((record for record in history if record.kept), None),
    }


def _confusion(findings: Findings) -> dict[str, object]:
    classes = findings.spec.classes
    counts = ranking.confusion_counts(findings.predictions)
    return {
        "matrix": matrix.confusion_matrix(counts, classes),
        "confused": ranking.most_confused(counts, classes, n=MAX_CONFUSED),
        "n_wrong": int(counts.sum() - counts.trace()),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "grouped": grouped}
    environment.globals |= {
        "bars": bars,
        "chart_box": f"0 0 {charts.WIDTH} {charts.HEIGHT}",
        "plot": {n: getattr(charts, n) for n in ("LEFT", "RIGHT", "TOP", "BOTTOM")},
        "pretty": lambda spec: json.dumps(asdict(spec), indent=2, ensure_ascii=False),
    }
    return environment
