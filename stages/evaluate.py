"""Measure the model on the test split.

Reads   data/packed, models/model.pt, models/model.pt.sha256
Writes  reports/evaluate/predictions.csv, reports/evaluate/roc.csv, reports/evaluate/metrics.json
Params  evaluate
"""

import logging

from pipeline.core.artifacts import RocPoint, write_predictions, write_records
from pipeline.core.atomic import write_json
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.evaluation.metrics import roc_points, summarize, to_predictions
from pipeline.modeling.checkpoint import load_checkpoint
from pipeline.modeling.device import choose_compute
from pipeline.modeling.predict import flip_averaged, predict_logits
from pipeline.packing.packed import read_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    model, spec = load_checkpoint(layout.model)
    test = read_packed(layout.packed, workers=params.runtime.workers or available_cores()).test
    # fp32, as the exported model computes: the figures are those of what is served.
    compute = choose_compute(
        device=params.runtime.device, threads=params.runtime.threads, precision="fp32"
    )
    model = model.to(compute.device)
    passes = 2 if params.evaluate.flip_tta else 1
    with Progress("evaluate", total=passes * len(test)) as progress:
        logits, *mirrored = (
            predict_logits(
                model,
                test.pixels,
                compute=compute,
                batch_size=params.evaluate.batch_size,
                mirrored=bool(index),
                on_batch=progress.advance,
            )
            for index in range(passes)
        )
    probs = logits.double().softmax(1).numpy()
    metrics = summarize(probs, test.labels, classes=spec.classes)
    if mirrored:
        averaged = flip_averaged(logits, mirrored[0]).exp().numpy()
        metrics["flip_tta"] = summarize(averaged, test.labels, classes=spec.classes)
    predictions = to_predictions(probs, test.labels, paths=test.paths, classes=spec.classes)
    write_predictions(layout.predictions, predictions)
    write_records(layout.roc, roc_points(probs, test.labels), RocPoint)
    write_json(layout.metrics, metrics)
    log.info(
        "test accuracy %.4f (95 %% interval %.4f to %.4f, n = %d)",
        *(metrics["accuracy"], metrics["accuracy_low"], metrics["accuracy_high"], metrics["n"]),
    )


if __name__ == "__main__":
    run_stage(run)
