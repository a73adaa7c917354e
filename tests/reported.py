"""A finished run made by hand, for tests of the report: every artifact that the stage reads."""

import hashlib
import io
import math
from pathlib import Path

from PIL import Image, ImageDraw

from pipeline.core.archive import write_archive
from pipeline.core.artifacts import (
    CurvePoint,
    EpochRecord,
    Prediction,
    Predictions,
    Rejected,
    ReliabilityBin,
    RiskPoint,
    Sample,
    SliceRow,
    Suggestion,
    SweepPoint,
    write_predictions,
    write_records,
    write_suggestion,
)
from pipeline.core.atomic import write_json
from pipeline.core.layout import Layout
from pipeline.imaging.spec import ModelSpec, PreprocessSpec
from pipeline.modeling.checkpoint import save_checkpoint
from pipeline.modeling.zoo import build_model
from pipeline.packing.packed import write_packed

HOSTILE_FILE = "<script>alert(1).jpg"  # a name in the archive cannot hold a slash
HOSTILE_CLASS = "<b>\"x\" onload='y'"
HOSTILE_DETAIL = '<img src="https://example.com/x.png">'
PREPROCESS = PreprocessSpec(size_px=48)


def make_run(
    root: Path,
    classes: tuple[str, ...],
    *,
    all_right: bool = False,
    names: tuple[str, ...] = ("a.jpg", "b.jpg", HOSTILE_FILE, "d.jpg", "e.jpg", "f.jpg"),
) -> Layout:
    """Write the artifacts: every second image is for testing, the last two are for validation.

    Of these every third is taken for the next class, unless `all_right`; so are, with
    P(label) = 0.05, the first training image and, with 0.3, the second.
    """
    layout = Layout(root)
    extra = ("copy of a.jpg",)
    paths = sorted(f"{label}/{name}" for label in classes for name in names)
    members = sorted([*paths, *(f"{classes[0]}/{name}" for name in extra)])
    write_archive(layout.raw_archive, [(path, f"set/{path}", _jpeg(path)) for path in members])
    splits = ["test" if k % 2 == 0 else "train" for k in range(len(paths) - 2)] + ["valid"] * 2
    samples = [_sample(path, split) for path, split in zip(paths, splits, strict=True)]
    write_records(layout.split, samples, Sample)
    refused = [
        Rejected(path="", source="x/y.jpg", reason="truncated", detail=HOSTILE_DETAIL),
        Rejected(
            path=f"{classes[0]}/{extra[0]}",
            source=f"set/{classes[0]}/{extra[0]}",
            reason="duplicate",
            detail=f"same bytes as {paths[0]}",
        ),
    ]
    write_records(layout.rejected, refused, Rejected)
    layout.corrections.write_text("path,action,label\n")
    layout.metadata.write_text("path,split,group\n")
    write_packed(
        layout.packed, archive_path=layout.raw_archive, samples=samples, spec=PREPROCESS, workers=1
    )
    _write_evaluation(layout, classes, samples, all_right=all_right)
    _write_training(layout, classes)
    return layout


def _jpeg(path: str) -> bytes:
    image = Image.new("RGB", (200, 150), "white")
    ImageDraw.Draw(image).text((10, 10), str(len(path)) + path[-5], "black")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def _sample(path: str, split: str) -> Sample:
    return Sample(
        path=path,
        label=path.partition("/")[0],
        split=split,
        sha256=hashlib.sha256(_jpeg(path)).hexdigest(),
        width=200,
        height=150,
        group=path,
        source=f"set/{path}",
    )


def _prediction(sample: Sample, classes: tuple[str, ...], *, of_label: float) -> Prediction:
    """Give the label a probability and the next class the most of the rest."""
    label = classes.index(sample.label)
    few = 0.01 if len(classes) > 2 else 0.0
    probs = [few] * len(classes)
    probs[label] = of_label
    probs[(label + 1) % len(classes)] = round(1 - of_label - few * (len(classes) - 2), 6)
    predicted = classes[probs.index(max(probs))]
    return Prediction(sample.path, sample.label, predicted, -math.log(of_label), tuple(probs))


def _write_evaluation(
    layout: Layout, classes: tuple[str, ...], samples: list[Sample], *, all_right: bool
) -> None:
    tests = [s for s in samples if s.split == "test"]
    trains = [s for s in samples if s.split == "train"]
    valid = [_prediction(s, classes, of_label=0.8) for s in samples if s.split == "valid"]
    rows = [
        _prediction(s, classes, of_label=0.2 if k % 3 == 2 and not all_right else 0.8)
        for k, s in enumerate(tests)
    ]
    learned = [
        _prediction(s, classes, of_label=0.95 if all_right else (0.05, 0.3, 0.95)[min(k, 2)])
        for k, s in enumerate(trains)
    ]
    write_predictions(layout.predictions, Predictions(classes, tuple(rows)))
    write_predictions(layout.valid_predictions, Predictions(classes, tuple(valid)))
    write_predictions(layout.train_predictions, Predictions(classes, tuple(learned)))
    per_class = {
        name: {"precision": 0.4 + k / 7, "recall": 0.51, "f1": 0.53, "n": 3}
        for k, name in enumerate(classes)
    }
    figures = {
        "n": len(rows),
        "accuracy": 0.654321,
        "accuracy_low": 0.5,
        "accuracy_high": 0.75,
        "log_loss": 0.456789,
        "roc_auc": 0.912345,
        "average_precision": 0.901234,
        "ece": 0.1,
        "brier": 0.3,
        "per_class": per_class,
    }
    judged = {"log_loss": 0.61, "ece": 0.12, "brier": 0.33, "n": len(rows)}
    shares = {
        **{"n": len(rows), "n_answered": 4, "coverage": 0.66, "coverage_low": 0.3},
        **{"coverage_high": 0.9, "risk": 0.25, "risk_low": 0.05, "risk_high": 0.7},
    }
    write_json(
        layout.metrics,
        {
            **figures,
            "valid": {**figures, "accuracy": 0.8181, "n": 2},
            "flip_tta": {**figures, "accuracy": 0.87654},
            "temperature": 0.7654,
            "threshold": 0.79,
            "calibration": {"status": "fitted", "n_fitted": 2, "before": judged, "after": judged},
            "reject": {"valid": {**shares, "coverage": 0.67}, "test": shares},
        },
    )
    bins = [
        ReliabilityBin(version=v, low=0.75, high=0.8, confidence=0.78, accuracy=a, n=len(rows))
        for v, a in (("before", 0.6), ("after", 0.7))
    ]
    write_records(layout.reliability, bins, ReliabilityBin)
    points = [RiskPoint(threshold=0.8, coverage=c, risk=r, n=1) for c, r in ((0.5, 0), (1, 0.3))]
    write_records(layout.risk_coverage, points, RiskPoint)
    parts = [
        SliceRow(slice="class", value=name, n=3, accuracy=0.6, accuracy_low=0.2, accuracy_high=0.9)
        for name in classes
    ]
    write_records(layout.slices, parts, SliceRow)


def _write_training(layout: Layout, classes: tuple[str, ...]) -> None:
    points = [CurvePoint(lr=10 ** (k / 4 - 4), loss=1.0, spread=0.1) for k in range(12)]
    write_records(layout.lr_curve, points, CurvePoint)
    steps = [
        SweepPoint(part=part, sweep=sweep, lr=10 ** (k / 4 - 4), loss=0.9 + 0.1 * sweep)
        for part in ("whole", "head")
        for sweep in range(3)
        for k in range(12)
    ]
    write_records(layout.lr_sweeps, steps, SweepPoint)
    write_json(layout.lr_rules, {"whole": {"reason": "it rose <b>sharply</b>"}})
    write_suggestion(layout.suggestion, Suggestion(lr=0.0123, status="ok"))
    history = [
        EpochRecord(
            epoch=epoch,
            lr=0.01,
            size_px=48,
            train_loss=1 / epoch,
            valid_loss=valid,
            valid_accuracy=0.6,
            kept=epoch == 2,
        )
        for epoch, valid in enumerate((0.9, 0.5, 0.8), start=1)
    ]
    write_records(layout.history, history, EpochRecord)
    write_json(layout.train_metrics, {"epochs": 3, "kept_epoch": 2, "threads": 2})
    spec = ModelSpec(arch="compact", classes=classes, preprocess=PREPROCESS)
    weights = build_model("compact", n_classes=len(classes)).state_dict()
    save_checkpoint(layout.model, weights=weights, spec=spec)
