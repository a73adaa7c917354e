"""Calibrate the model on the validation split and measure it on the test split.

Reads   data/packed, data/raw.zip, data/split.csv, data/corrections.csv, data/metadata.csv,
        models/model.pt, models/model.pt.sha256
Writes  reports/evaluate/predictions.csv, reports/evaluate/predictions_train.csv,
        reports/evaluate/predictions_valid.csv, reports/evaluate/reliability.csv,
        reports/evaluate/risk_coverage.csv, reports/evaluate/roc.csv, reports/evaluate/slices.csv,
        reports/evaluate/metrics.json
Params  evaluate
"""

import logging
from collections.abc import Sequence
from functools import partial

from pipeline.core.archive import read_members
from pipeline.core.artifacts import (
    ReliabilityBin,
    RiskPoint,
    RocPoint,
    Sample,
    SliceRow,
    read_records,
    write_predictions,
    write_records,
)
from pipeline.core.atomic import write_json
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.data.corrections import read_corrections
from pipeline.data.metadata import read_metadata
from pipeline.evaluation.calibration import reliability_bins
from pipeline.evaluation.measure import Scored, in_words, measure
from pipeline.evaluation.metrics import roc_points, to_predictions
from pipeline.evaluation.rejection import risk_coverage
from pipeline.evaluation.slices import Trait, image_traits, people_traits, slice_rows
from pipeline.modeling.checkpoint import load_checkpoint
from pipeline.modeling.device import choose_compute
from pipeline.modeling.predict import predict_views, tta_views
from pipeline.packing.packed import PackedSplit, read_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    model, spec = load_checkpoint(layout.model)
    packed = read_packed(layout.packed, workers=params.runtime.workers or available_cores())
    splits = {"train": packed.train, "valid": packed.valid, "test": packed.test}
    # fp32, as the exported model computes: the figures are those of what is served.
    compute = choose_compute(
        device=params.runtime.device, threads=params.runtime.threads, precision="fp32"
    )
    views = {name: tta_views("none") for name in splits} | {"test": tta_views(params.evaluate.tta)}
    n_forwards = sum(len(views[name]) * len(split) for name, split in splits.items())
    with Progress("evaluate", total=n_forwards) as progress:
        ask = partial(
            predict_views,
            model.to(compute.device),
            compute=compute,
            batch_size=params.evaluate.batch_size,
            on_batch=progress.advance,
        )
        scored = {
            name: Scored(labels=s.labels, logits=ask(s.pixels, views=views[name]).numpy())
            for name, s in splits.items()
        }
    measured = measure(
        scored,
        classes=spec.classes,
        calibrate=params.evaluate.calibrate,
        reject_risk=params.evaluate.reject_risk,
        reject_coverage=params.evaluate.reject_coverage,
        tta=params.evaluate.tta,
    )
    for name, path in (
        ("train", layout.train_predictions),
        ("valid", layout.valid_predictions),
        ("test", layout.predictions),
    ):
        labels, paths = splits[name].labels, splits[name].paths
        rows = to_predictions(measured.probs[name], labels, paths=paths, classes=spec.classes)
        write_predictions(path, rows)
    probs, labels = measured.probs["test"], packed.test.labels
    bins = [
        *reliability_bins(measured.uncalibrated, labels, version="before"),
        *reliability_bins(probs, labels, version="after"),
    ]
    write_records(layout.reliability, bins, ReliabilityBin)
    write_records(layout.risk_coverage, risk_coverage(probs, labels), RiskPoint)
    write_records(layout.roc, roc_points(probs, labels), RocPoint)
    traits = _traits(packed.test, classes=spec.classes, layout=layout)
    write_records(layout.slices, slice_rows(probs.argmax(axis=1) == labels, traits), SliceRow)
    write_json(layout.metrics, measured.metrics)
    for line in in_words(measured.metrics):
        log.info("%s", line)


def _traits(test: PackedSplit, *, classes: Sequence[str], layout: Layout) -> list[Trait]:
    members = read_members(layout.raw_archive)
    samples = read_records(layout.split, Sample, stage="split")
    return [
        *people_traits(
            test,
            classes=classes,
            corrections=read_corrections(layout.corrections, members),
            columns=read_metadata(layout.metadata, members).more,
        ),
        *image_traits(test, {sample.path: sample for sample in samples}),
    ]


if __name__ == "__main__":
    run_stage(run)
