"""Show what the model gets right and wrong, and whose labels are doubtful, on a page for people.

Reads   data/raw.zip, data/split.csv, data/rejected.csv, data/corrections.csv, data/metadata.csv,
        data/packed, reports/lr_find/suggestion.json, reports/lr_find/curve.csv,
        reports/lr_find/sweeps.csv, reports/lr_find/rules.json, models/model.pt,
        models/model.pt.sha256, reports/train/history.csv, reports/train/metrics.json,
        reports/evaluate/predictions.csv, reports/evaluate/predictions_valid.csv,
        reports/evaluate/predictions_train.csv, reports/evaluate/reliability.csv,
        reports/evaluate/risk_coverage.csv, reports/evaluate/slices.csv,
        reports/evaluate/metrics.json
Writes  reports/index.html
Params  data, split, pack, model, lr_find, train, evaluate, report
"""

import logging
from dataclasses import asdict
from typing import Any

from pipeline.analysis.findings import read_findings
from pipeline.analysis.looking import veils
from pipeline.analysis.page import render
from pipeline.analysis.selection import select
from pipeline.analysis.thumbnails import thumbnails
from pipeline.core.archive import RawArchive
from pipeline.core.atomic import write_text
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.stage import run_stage
from pipeline.insight.kernels import starting_model
from pipeline.insight.network import look_inside
from pipeline.modeling.checkpoint import load_checkpoint
from pipeline.modeling.device import set_threads
from pipeline.packing.packed import read_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    set_threads(params.runtime.threads)
    model, spec = load_checkpoint(layout.model)
    packed = read_packed(layout.packed, workers=params.runtime.workers or available_cores())
    before = starting_model(
        spec, packed.train, weights=params.model.weights, seed=params.train.seed
    )
    findings = read_findings(
        layout,
        spec=spec,
        test=packed.test,
        network=look_inside(
            model, before, packed.valid, channels_per_stage=params.report.channels_per_stage
        ),
        parameters=_what_it_was_made_with(params),
    )
    selection = select(
        findings.predictions,
        findings.samples,
        suspects=findings.suspects,
        rejected=findings.rejected,
        per_panel=params.report.images_per_panel,
        seed=params.report.seed,
    )
    with RawArchive(layout.raw_archive) as archive:
        images = thumbnails(archive, selection.paths())
    page = render(findings, selection, images, veils(model, packed, selection, images))
    write_text(layout.report, page)
    log.info("%s: %d images, %.1f MB", layout.report, len(images), len(page) / 1e6)


def _what_it_was_made_with(params: Params) -> dict[str, dict[str, Any]]:
    return {
        "data": asdict(params.data),
        "split": asdict(params.split),
        "pack": asdict(params.pack),
        "model": asdict(params.model),
        "lr_find": asdict(params.lr_find),
        "train": asdict(params.train),
        "evaluate": asdict(params.evaluate),
        "report": asdict(params.report),
    }


if __name__ == "__main__":
    run_stage(run)
