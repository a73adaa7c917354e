"""Fit the network and keep its best epoch.

Reads   data/packed, reports/lr_find/suggestion.json
Writes  models/model.pt, models/model.pt.sha256, reports/train/history.csv,
        reports/train/metrics.json
Params  model, train
"""

import logging

from pipeline.core.artifacts import EpochRecord, read_suggestion, write_records
from pipeline.core.atomic import write_json
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.imaging.spec import ModelSpec
from pipeline.modeling.advice import advise
from pipeline.modeling.batches import images_per_epoch
from pipeline.modeling.checkpoint import save_checkpoint
from pipeline.modeling.device import choose_compute
from pipeline.modeling.fit import Recipe, fit_in_phases, in_words, mark_kept, weights_of
from pipeline.modeling.zoo import build_model, fit_to_data
from pipeline.packing.packed import read_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    packed = read_packed(layout.packed, workers=params.runtime.workers or available_cores())
    suggestion = read_suggestion(layout.suggestion)
    lr = suggestion.lr if params.train.lr is None else params.train.lr
    log.info("peak learning rate %g, %s", lr, _origin(params.train.lr, suggestion.status))
    compute = choose_compute(
        device=params.runtime.device,
        threads=params.runtime.threads,
        precision=params.train.precision,
    )
    model = build_model(
        params.model.arch,
        n_classes=len(packed.classes),
        weights=params.model.weights,
        seed=params.train.seed,
    )
    fit_to_data(model, packed.train)
    recipe = Recipe(
        lr=lr,
        epochs=params.train.epochs,
        freeze_epochs=params.train.freeze_epochs,
        batch_size=params.train.batch_size,
        seed=params.train.seed,
        optimizer=params.train.optimizer,
        weight_decay=params.train.weight_decay,
        warmup_fraction=params.train.warmup_fraction,
        sizes_px=params.train.sizes_px,
        crop_min_area=params.train.crop_min_area,
        flip=params.train.flip,
        label_smoothing=params.train.label_smoothing,
    )
    history: list[EpochRecord] = []
    weights = weights_of(model)
    epochs = recipe.freeze_epochs + recipe.epochs
    images = epochs * images_per_epoch(len(packed.train), recipe.batch_size)
    with Progress("train", total=images) as progress:
        for record in fit_in_phases(
            model.to(compute.device),
            packed.train,
            packed.valid,
            recipe,
            compute=compute,
            on_step=progress.advance,
        ):
            history = mark_kept([*history, record])
            if history[-1].kept:
                weights = weights_of(model)
            write_records(layout.history, history, EpochRecord)
            log.info("epoch %d of %d: %s", record.epoch, epochs, in_words(record))
    best = next(record for record in history if record.kept)
    log.info("kept epoch %d, the one with the lowest validation loss", best.epoch)
    for sentence in advise(history):
        log.info("%s", sentence)
    spec = ModelSpec(arch=params.model.arch, classes=packed.classes, preprocess=packed.preprocess)
    save_checkpoint(layout.model, weights=weights, spec=spec)
    write_json(
        layout.train_metrics,
        {
            "lr": lr,
            "epochs": len(history),
            "kept_epoch": best.epoch,
            "train_loss": round(best.train_loss, 4),
            "valid_loss": round(best.valid_loss, 4),
            "valid_accuracy": round(best.valid_accuracy, 4),
        },
    )


def _origin(lr: float | None, status: str) -> str:
    if lr is not None:
        return "from train.lr"
    if status == "ok":
        return "suggested by lr_find"
    return f"the default, since lr_find's curve is {status}"


if __name__ == "__main__":
    run_stage(run)
