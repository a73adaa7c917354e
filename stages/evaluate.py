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
from functools import partial

from pipeline.core.archive import read_members
from pipeline.core.artifacts import (
    SPLITS,
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
from pipeline.evaluation.calibration import (
    UNCALIBRATED,
    calibration_figures,
    fit_temperature,
    probabilities,
    reliability_bins,
)
from pipeline.evaluation.metrics import roc_points, summarize, to_predictions
from pipeline.evaluation.rejection import (
    choose_threshold,
    reject_figures,
    risk_coverage,
)
from pipeline.evaluation.slices import image_traits, people_traits, slice_rows
from pipeline.modeling.checkpoint import load_checkpoint
from pipeline.modeling.device import choose_compute
from pipeline.modeling.predict import predict_views, tta_views, whole
from pipeline.packing.packed import read_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    model, spec = load_checkpoint(layout.model)
    packed = read_packed(layout.packed, workers=params.runtime.workers or available_cores())
    train, valid, test = packed.train, packed.valid, packed.test
    # fp32, as the exported model computes: the figures are those of what is served.
    compute = choose_compute(
        device=params.runtime.device, threads=params.runtime.threads, precision="fp32"
    )
    views = tta_views(params.evaluate.tta)
    with Progress("evaluate", total=len(train) + len(valid) + len(views) * len(test)) as progress:
        ask = partial(
            predict_views,
            model.to(compute.device),
            compute=compute,
            batch_size=params.evaluate.batch_size,
            on_batch=progress.advance,
        )
        logits = {
            name: ask(split.pixels, views=views if split is test else (whole,)).numpy()
            for name, split in zip(SPLITS, (train, valid, test), strict=True)
        }

    fitted = UNCALIBRATED
    if params.evaluate.calibrate:
        fitted = fit_temperature(logits["valid"][0], valid.labels)
    probs = {
        name: probabilities(of_split[0], temperature=fitted.value)
        for name, of_split in logits.items()
    }
    threshold = choose_threshold(
        probs["valid"],
        valid.labels,
        risk=params.evaluate.reject_risk,
        coverage=params.evaluate.reject_coverage,
    )
    before = probabilities(logits["test"][0], temperature=1.0)
    metrics = {
        **summarize(probs["test"], test.labels, classes=spec.classes),
        "valid": summarize(probs["valid"], valid.labels, classes=spec.classes),
        "temperature": fitted.value,
        "threshold": threshold,
        "calibration": {
            "status": fitted.status,
            "n_fitted": fitted.n,
            "before": calibration_figures(before, test.labels),
            "after": calibration_figures(probs["test"], test.labels),
        },
        "reject": {
            "valid": reject_figures(probs["valid"], valid.labels, threshold=threshold),
            "test": reject_figures(probs["test"], test.labels, threshold=threshold),
        },
    }
    if len(views) > 1:
        averaged = probabilities(logits["test"], temperature=fitted.value).mean(axis=0)
        metrics[f"{params.evaluate.tta}_tta"] = summarize(
            averaged, test.labels, classes=spec.classes
        )

    for name, split, path in (
        ("train", train, layout.train_predictions),
        ("valid", valid, layout.valid_predictions),
        ("test", test, layout.predictions),
    ):
        rows = to_predictions(probs[name], split.labels, paths=split.paths, classes=spec.classes)
        write_predictions(path, rows)
    members = read_members(layout.raw_archive)
    samples = read_records(layout.split, Sample, stage="split")
    traits = [
        *people_traits(
            test,
            classes=spec.classes,
            corrections=read_corrections(layout.corrections, members),
            columns=read_metadata(layout.metadata, members).more,
        ),
        *image_traits(test, {sample.path: sample for sample in samples}),
    ]
    right = probs["test"].argmax(axis=1) == test.labels
    write_records(layout.slices, slice_rows(right, traits), SliceRow)
    bins = [
        *reliability_bins(before, test.labels, version="before"),
        *reliability_bins(probs["test"], test.labels, version="after"),
    ]
    write_records(layout.reliability, bins, ReliabilityBin)
    write_records(layout.risk_coverage, risk_coverage(probs["test"], test.labels), RiskPoint)
    write_records(layout.roc, roc_points(probs["test"], test.labels), RocPoint)
    write_json(layout.metrics, metrics)
    log.info(
        "test accuracy %.4f (95 %% interval %.4f to %.4f, n = %d)",
        *(metrics["accuracy"], metrics["accuracy_low"], metrics["accuracy_high"], metrics["n"]),
    )


if __name__ == "__main__":
    run_stage(run)
