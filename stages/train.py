"""Fit the network and keep its best epoch; a run that was stopped goes on where it was.

Reads   data/packed, reports/lr_find/suggestion.json
Writes  models/model.pt, models/model.pt.sha256, reports/train/history.csv,
        reports/train/metrics.json
Params  model, train
"""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from pipeline.core.artifacts import EpochRecord, Suggestion, read_suggestion, write_records
from pipeline.core.atomic import write_json
from pipeline.core.errors import TrainingError
from pipeline.core.layout import Layout
from pipeline.core.locks import held
from pipeline.core.params import Params, TrainParams
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.seen import WEIGHTS_RECORD, look, record_seen
from pipeline.core.stage import run_stage
from pipeline.imaging.spec import ModelSpec
from pipeline.modeling.checkpoint import save_checkpoint
from pipeline.modeling.device import Compute, choose_compute, threads_in_use
from pipeline.modeling.feed import Features
from pipeline.modeling.fingerprint import Origin, code_files, data_files, machine
from pipeline.modeling.fit import Fitting
from pipeline.modeling.group import Group
from pipeline.modeling.history import conclusions, in_words, kept_epoch
from pipeline.modeling.launch import joined_group, launch, processes_to_start
from pipeline.modeling.precompute import cached_features
from pipeline.modeling.recipe import Recipe
from pipeline.modeling.resume import (
    Checkpoints,
    checkpoint_root,
    remove_folder,
    remove_others,
)
from pipeline.modeling.session import Session
from pipeline.modeling.sync_norm import synchronized
from pipeline.modeling.zoo import Classifier, initial_model, without_head
from pipeline.packing.packed import Packed, read_packed

log = logging.getLogger(__name__)
FEW_STEPS = 200  # a network that starts from random weights has hardly moved before


def run(params: Params, layout: Layout) -> None:
    processes = processes_to_start(
        launcher=params.runtime.launcher,
        processes=params.runtime.processes,
        device=params.runtime.device,
    )
    if processes:
        launch("stages.train", processes=processes)
        return
    weights = Path(params.model.weights)
    seen = {weights: look(weights)} if weights.is_file() else {}
    with joined_group(device=params.runtime.device) as group:
        _fit(params, layout, group)
        if group.first:
            record_seen(seen, record=WEIGHTS_RECORD)


def _fit(params: Params, layout: Layout, group: Group) -> None:
    cores = available_cores()
    workers = group.threads(params.runtime.workers, cores=cores)
    packed = read_packed(layout.packed, workers=workers)
    rates = _peak_rates(params.train, read_suggestion(layout.suggestion))
    settings = {**asdict(params.train), **rates}
    settings.pop("no_suggestion")
    compute = choose_compute(
        device=params.runtime.device,
        threads=group.threads(params.runtime.threads, cores=cores),
        precision=settings.pop("precision"),
    )
    recipe = Recipe(**settings)
    model = initial_model(
        params.model.arch,
        n_classes=len(packed.classes),
        weights=params.model.weights,
        seed=params.train.seed,
        train=packed.train,
        preprocess=packed.preprocess,
    )
    model = synchronized(model.to(compute.device), group, device=compute.device)
    origin = Origin(
        settings={"arch": params.model.arch, **machine(compute, group)},
        data=data_files(layout.packed),
        code=code_files(__file__),
    )
    root = checkpoint_root(layout.root)
    with ExitStack() as locks:
        folder = features = None
        if group.first:  # no other process writes
            key = origin.key(model.state_dict(), **asdict(recipe))
            locks.enter_context(held(layout.model.parent, owner="another training"))
            folder = locks.enter_context(held(root / "train" / key, owner="another training"))
            remove_others(folder)
        if recipe.precompute:
            features = _features(model, packed, group, compute=compute, origin=origin, root=root)
        fitting = Fitting(
            model,
            packed.train,
            packed.valid,
            recipe,
            compute=compute,
            n_classes=len(packed.classes),
            features=features,
            group=group,
        )
        session = Session(
            fitting,
            Checkpoints(folder) if folder else None,
            every_s=params.runtime.checkpoint_seconds,
        )
        session.begin(resume=params.runtime.resume)
        if params.model.weights == "none":
            _tell_of_few_steps(fitting)
        try:
            _train(session, layout)
        except TrainingError:
            if folder:
                remove_folder(folder)  # it would only fail again
            raise
        if folder is None:
            return
        spec = ModelSpec(
            arch=params.model.arch, classes=packed.classes, preprocess=packed.preprocess
        )
        save_checkpoint(layout.model, weights=fitting.best, spec=spec)
        remove_folder(folder)


def _features(
    model: Classifier,
    packed: Packed,
    group: Group,
    *,
    compute: Compute,
    origin: Origin,
    root: Path,
) -> Features:
    """Return the features of the frozen body, which the first process has or computes."""
    found = None
    if group.first:
        folder = root / "features" / origin.key(without_head(model))
        features = cached_features(
            model, packed.train, packed.valid, compute=compute, folder=folder
        )
        found = {"train": features.train, "valid": features.valid}
    return Features(**group.shared(found))


def _train(session: Session, layout: Layout) -> None:
    fitting = session.fitting
    last = fitting.phases[-1].epochs[-1]
    first = fitting.group.first
    if fitting.history and first:  # DVC removed the file when the stage began
        _write_progress(layout, fitting.history, lr=fitting.recipe.lr)
    with Progress("train", total=fitting.images_left, shown=first) as progress:
        for record in session.run(progress):
            if first:
                _write_progress(layout, fitting.history, lr=fitting.recipe.lr)
            log.info("epoch %d of %d: %s", record.epoch, last, in_words(record))
    for sentence in conclusions(fitting.history, last_epoch=last):
        log.info("%s", sentence)


def _tell_of_few_steps(fitting: Fitting) -> None:
    n_steps = fitting.n_steps * fitting.phases[-1].epochs[-1]
    if n_steps < FEW_STEPS:
        log.info(
            "%d images make %d steps in all, which is little: "
            "try a smaller train.batch_size and more train.epochs",
            len(fitting.train),
            n_steps,
        )


def _write_progress(layout: Layout, history: Sequence[EpochRecord], *, lr: float) -> None:
    """Write what is known so far."""
    best = kept_epoch(history)
    write_records(layout.history, history, EpochRecord)
    write_json(
        layout.train_metrics,
        {
            "lr": lr,
            "epochs": len(history),
            "kept_epoch": best.epoch,
            "overfitting_epochs": sum(record.overfitting for record in history),
            "threads": threads_in_use(),
            "train_loss": round(best.train_loss, 4),
            "valid_loss": round(best.valid_loss, 4),
            "valid_accuracy": round(best.valid_accuracy, 4),
        },
    )


def _peak_rates(chosen: TrainParams, suggestion: Suggestion) -> dict[str, float | None]:
    """Return the peak rates of the whole network and of the head alone.

    Raises:
        TrainingError: the range test has no answer, and the user wants no default.
    """
    parts = [("lr", chosen.lr, suggestion.lr, suggestion.status)]
    if chosen.freeze_epochs and suggestion.head_lr is not None:
        status = suggestion.head_status or "missing"
        parts.append(("head_lr", chosen.head_lr, suggestion.head_lr, status))
    rates: dict[str, float | None] = {"head_lr": chosen.head_lr}
    for name, given, suggested, status in parts:
        if given is None and status != "ok" and chosen.no_suggestion == "stop":
            raise TrainingError(
                f"lr_find's curve is {status} and train.no_suggestion is stop; "
                f"see reports/lr_find/rules.json, set train.{name}, or no_suggestion: default"
            )
        rates[name] = suggested if given is None else given
        log.info("train.%s: peak learning rate %g, %s", name, rates[name], _origin(given, status))
    return rates


def _origin(given: float | None, status: str) -> str:
    if given is not None:
        return "from params.yaml"
    if status == "ok":
        return "suggested by lr_find"
    return f"the default, since lr_find's curve is {status}"


if __name__ == "__main__":
    run_stage(run)
