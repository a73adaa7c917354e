"""Fit the network and keep its best epoch.

Reads   data/packed, reports/lr_find/suggestion.json
Writes  models/model.pt, models/model.pt.sha256, reports/train/history.csv,
        reports/train/metrics.json
Params  model, train
"""

import logging
from dataclasses import asdict

from pipeline.core.artifacts import EpochRecord, read_suggestion, write_records
from pipeline.core.atomic import write_json
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.imaging.spec import ModelSpec
from pipeline.modeling.batches import images_per_epoch
from pipeline.modeling.checkpoint import save_checkpoint
from pipeline.modeling.device import choose_compute
from pipeline.modeling.fit import EpochResult, Recipe, advice, fit_in_phases, weights_of
from pipeline.modeling.zoo import build_model, fit_to_data
from pipeline.packing.packed import read_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    packed = read_packed(layout.packed)
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
    history: list[EpochResult] = []
    kept, weights = 0, weights_of(model)
    epochs = recipe.freeze_epochs + recipe.epochs
    images = epochs * images_per_epoch(len(packed.train), recipe.batch_size)
    with Progress("train", total=images) as progress:
        for result in fit_in_phases(
            model.to(compute.device),
            packed.train,
            packed.valid,
            recipe,
            compute=compute,
            on_step=progress.advance,
        ):
            history.append(result)
            if result.valid_loss <= history[kept].valid_loss:
                kept, weights = len(history) - 1, weights_of(model)
            _write_history(layout, history, kept)
            log.info(
                "epoch %d of %d: train loss %.4f, valid loss %.4f, valid accuracy %.4f",
                *(
                    result.epoch,
                    epochs,
                    result.train_loss,
                    result.valid_loss,
                    result.valid_accuracy,
                ),
            )
    best = history[kept]
    for line in advice(history):
        log.warning("%s", line)
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
    log.info("kept epoch %d, the lowest valid loss of %d epochs", best.epoch, len(history))


def _write_history(layout: Layout, history: list[EpochResult], kept: int) -> None:
    rows = [
        EpochRecord(**asdict(result), kept=index == kept) for index, result in enumerate(history)
    ]
    write_records(layout.history, rows, EpochRecord)


def _origin(lr: float | None, status: str) -> str:
    if lr is not None:
        return "from train.lr"
    if status == "ok":
        return "suggested by lr_find"
    return f"the default, since lr_find's curve is {status}"


if __name__ == "__main__":
    run_stage(run)
