"""Fit the network and keep its best epoch; a run that was stopped goes on where it was.

Reads   data/packed, reports/lr_find/suggestion.json
Writes  models/model.pt, models/model.pt.sha256, reports/train/history.csv,
        reports/train/metrics.json
Params  model, train
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import pipeline
from pipeline.core.artifacts import EpochRecord, read_suggestion, write_records
from pipeline.core.atomic import write_json
from pipeline.core.errors import TrainingError
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.imaging.spec import ModelSpec
from pipeline.modeling.advice import advise
from pipeline.modeling.checkpoint import save_checkpoint
from pipeline.modeling.device import Compute, choose_compute
from pipeline.modeling.fit import Fitting, Recipe, in_words
from pipeline.modeling.precompute import cached_features
from pipeline.modeling.resume import (
    Checkpoints,
    checkpoint_root,
    fingerprint,
    held,
    remove_folder,
    remove_others,
)
from pipeline.modeling.session import Session
from pipeline.modeling.zoo import build_model, fit_to_data, without_head
from pipeline.packing.packed import read_packed

log = logging.getLogger(__name__)
CODE = ("core", "imaging", "modeling", "packing")
"""The sub-packages that a training depends on, as dvc.yaml lists them."""


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
        precompute=params.train.precompute,
        lr_factors=params.train.lr_factors,
        patience=params.train.patience,
        batch_size=params.train.batch_size,
        seed=params.train.seed,
        optimizer=params.train.optimizer,
        weight_decay=params.train.weight_decay,
        warmup_fraction=params.train.warmup_fraction,
        schedule=params.train.schedule,
        cycle_epochs=params.train.cycle_epochs,
        cycle_factor=params.train.cycle_factor,
        clip_norm=params.train.clip_norm,
        accumulate=params.train.accumulate,
        ema_decay=params.train.ema_decay,
        balance=params.train.balance,
        sizes_px=params.train.sizes_px,
        crop_min_area=params.train.crop_min_area,
        flip=params.train.flip,
        jitter=params.train.jitter,
        erasing=params.train.erasing,
        mixup=params.train.mixup,
        cutmix=params.train.cutmix,
        label_smoothing=params.train.label_smoothing,
    )
    settings = {"arch": params.model.arch, **_machine(compute)}
    sources: dict[str, Any] = {"data": _data_files(layout), "code": _code_files()}
    root = checkpoint_root(layout.root)
    key = fingerprint(settings={**settings, **asdict(recipe)}, start=model.state_dict(), **sources)
    body_key = fingerprint(settings=settings, start=without_head(model), **sources)
    model = model.to(compute.device)
    with (
        held(layout.model.parent, owner="another training"),
        held(root / "train" / key, owner="another training") as folder,
    ):
        remove_others(folder)
        checkpoints = Checkpoints(folder)
        if not params.runtime.resume:
            checkpoints.clear()
        fitting = Fitting(
            model,
            packed.train,
            packed.valid,
            recipe,
            compute=compute,
            n_classes=len(packed.classes),
            features=cached_features(
                model,
                packed.train,
                packed.valid,
                compute=compute,
                folder=root / "features" / body_key,
            )
            if recipe.precompute
            else None,
        )
        session = Session(fitting, checkpoints, every_s=params.runtime.checkpoint_seconds)
        session.resume()
        try:
            _train(session, layout, lr=lr)
        except TrainingError:
            remove_folder(folder)  # it would only fail again
            raise
        spec = ModelSpec(
            arch=params.model.arch, classes=packed.classes, preprocess=packed.preprocess
        )
        save_checkpoint(layout.model, weights=fitting.best, spec=spec)
        _write_progress(layout, fitting.history, lr=lr)
        remove_folder(folder)


def _train(session: Session, layout: Layout, *, lr: float) -> None:
    fitting = session.fitting
    last = fitting.phases[-1].epochs[-1]
    if fitting.history:  # DVC removed the file when the stage began
        _write_progress(layout, fitting.history, lr=lr)
    with Progress("train", total=fitting.images_left) as progress:
        for record in session.run(progress):
            _write_progress(layout, fitting.history, lr=lr)
            log.info("epoch %d of %d: %s", record.epoch, last, in_words(record))
    if fitting.history[-1].epoch < last:
        log.info("stopped early: no better epoch in %d", fitting.recipe.patience)
    best = next(record for record in fitting.history if record.kept)
    log.info("kept epoch %d, the one with the lowest validation loss", best.epoch)
    for sentence in advise(fitting.history):
        log.info("%s", sentence)


def _write_progress(layout: Layout, history: Sequence[EpochRecord], *, lr: float) -> None:
    """Write what is known so far."""
    best = next(record for record in history if record.kept)
    write_records(layout.history, history, EpochRecord)
    write_json(
        layout.train_metrics,
        {
            "lr": lr,
            "epochs": len(history),
            "kept_epoch": best.epoch,
            "overfitting_epochs": sum(record.overfitting for record in history),
            "threads": torch.get_num_threads(),
            "train_loss": round(best.train_loss, 4),
            "valid_loss": round(best.valid_loss, 4),
            "valid_accuracy": round(best.valid_accuracy, 4),
        },
    )


def _machine(compute: Compute) -> dict[str, Any]:
    """Return what a result's last bits depend on beside data, code and parameters."""
    return {
        "device": str(compute.device),
        "bf16": compute.bf16,
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def _data_files(layout: Layout) -> list[Path]:
    names: Iterable[Path] = sorted(layout.packed.iterdir())
    return [path for path in names if path.is_file() and not path.name.startswith("test.")]


def _code_files() -> list[Path]:
    top = Path(pipeline.__file__ or "").parent
    return [Path(__file__), *(p for name in CODE for p in sorted((top / name).rglob("*.py")))]


def _origin(lr: float | None, status: str) -> str:
    if lr is not None:
        return "from train.lr"
    if status == "ok":
        return "suggested by lr_find"
    return f"the default, since lr_find's curve is {status}"


if __name__ == "__main__":
    run_stage(run)
