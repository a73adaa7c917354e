"""Show what the model gets right and wrong, on one page for people.

Reads   data/raw.zip, data/packed, data/split.csv, data/rejected.csv,
        reports/lr_find/suggestion.json, reports/lr_find/curve.csv, models/model.pt,
        models/model.pt.sha256, reports/train/history.csv, reports/evaluate/predictions.csv,
        reports/evaluate/metrics.json
Writes  reports/index.html
Params  report, model.weights, train.seed
"""

import logging

from pipeline.analysis.figures import check_predictions, read_figures, read_history
from pipeline.analysis.page import Findings, render
from pipeline.analysis.selection import select
from pipeline.analysis.thumbnails import thumbnails
from pipeline.core.archive import RawArchive
from pipeline.core.artifacts import (
    CurvePoint,
    Rejected,
    Sample,
    read_predictions,
    read_records,
    read_suggestion,
)
from pipeline.core.atomic import sha256_file, write_text
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.stage import run_stage
from pipeline.insight.kernels import starting_model
from pipeline.insight.network import look_inside
from pipeline.modeling.checkpoint import load_checkpoint
from pipeline.packing.packed import read_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    model, spec = load_checkpoint(layout.model)
    predictions = read_predictions(layout.predictions)
    check_predictions(predictions, classes=spec.classes, where=layout.predictions)
    samples = read_records(layout.split, Sample, stage="split")
    selection = select(
        predictions,
        samples,
        per_panel=params.report.images_per_panel,
        seed=params.report.seed,
    )
    with RawArchive(layout.raw_archive) as archive:
        images = thumbnails(archive, selection.paths())
    packed = read_packed(layout.packed, workers=params.runtime.workers or available_cores())
    before = starting_model(
        spec, packed.train, weights=params.model.weights, seed=params.train.seed
    )
    findings = Findings(
        spec=spec,
        figures=read_figures(layout.metrics, predictions),
        predictions=predictions,
        samples=samples,
        rejected=read_records(layout.rejected, Rejected, stage="split"),
        curve=read_records(layout.lr_curve, CurvePoint, stage="lr_find"),
        suggestion=read_suggestion(layout.suggestion),
        history=read_history(layout.history),
        network=look_inside(
            model,
            before,
            packed.valid,
            channels_per_stage=params.report.channels_per_stage,
        ),
        checksums={path.name: sha256_file(path) for path in (layout.model, layout.raw_archive)},
    )
    page = render(findings, selection, images)
    write_text(layout.report, page)
    log.info("%s: %d images, %.1f MB", layout.report, len(images), len(page) / 1e6)


if __name__ == "__main__":
    run_stage(run)
