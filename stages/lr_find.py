"""Find the learning rate: start tiny, keep doubling, stop when the loss explodes.

Reads   data/packed
Writes  reports/lr_find/suggestion.json, reports/lr_find/curve.csv
Params  lr_find, model, train.batch_size, train.optimizer, train.weight_decay, train.sizes_px,
        train.crop_min_area, train.flip, train.label_smoothing, train.precision
"""

import logging

from pipeline.core.artifacts import CurvePoint, write_records, write_suggestion
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.modeling.batches import Augmentation
from pipeline.modeling.device import choose_compute
from pipeline.modeling.lr_finder import (
    EDGE_TO_PEAK,
    mean_curve,
    ramp,
    steepest_improvement,
    suggest_lr,
    sweep,
)
from pipeline.modeling.optimizers import default_lr
from pipeline.modeling.zoo import build_model, fit_to_data
from pipeline.packing.packed import read_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    packed = read_packed(layout.packed, workers=params.runtime.workers or available_cores())
    compute = choose_compute(
        device=params.runtime.device,
        threads=params.runtime.threads,
        precision=params.train.precision,
    )
    rates = ramp(
        min_lr=params.lr_find.min_lr,
        max_lr=params.lr_find.max_lr,
        steps_per_doubling=params.lr_find.steps_per_doubling,
    )
    curves = []
    with Progress("lr_find", total=len(rates) * params.lr_find.sweeps, unit="steps") as progress:
        for index in range(params.lr_find.sweeps):
            seed = params.lr_find.seed + index
            model = build_model(
                params.model.arch,
                n_classes=len(packed.classes),
                weights=params.model.weights,
                seed=seed,
            )
            fit_to_data(model, packed.train)
            losses = sweep(
                model.to(compute.device),
                packed.train,
                rates=rates,
                optimizer_name=params.train.optimizer,
                weight_decay=params.train.weight_decay,
                batch_size=params.train.batch_size,
                size_px=params.train.sizes_px[0],
                augmentation=Augmentation(
                    crop_min_area=params.train.crop_min_area, flip=params.train.flip
                ),
                label_smoothing=params.train.label_smoothing,
                stop_factor=params.lr_find.stop_factor,
                seed=seed,
                compute=compute,
                on_step=progress.advance,
            )
            curves.append(losses)
    curve = mean_curve(rates, curves)
    suggestion = suggest_lr(
        curve,
        edge_to_peak=EDGE_TO_PEAK[params.train.optimizer],
        default_lr=default_lr(params.train.optimizer, pretrained=params.model.weights != "none"),
    )
    write_records(layout.lr_curve, curve, CurvePoint)
    write_suggestion(layout.suggestion, suggestion)
    log.info(
        "suggested learning rate %g (%s); the loss fell fastest at %.2g",
        *(suggestion.lr, suggestion.status, steepest_improvement(curve)),
    )


if __name__ == "__main__":
    run_stage(run)
