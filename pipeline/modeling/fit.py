"""The training loop."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from pipeline.core.artifacts import EpochRecord
from pipeline.core.errors import TrainingError
from pipeline.modeling.batches import Augmentation, n_batches, train_batches
from pipeline.modeling.device import Compute
from pipeline.modeling.optimizers import build_optimizer, set_lr
from pipeline.modeling.predict import loss_and_accuracy, predict_logits
from pipeline.modeling.schedule import Schedule, size_of_epoch
from pipeline.modeling.zoo import Classifier, head_parameters
from pipeline.packing.packed import PackedSplit

ADVICE = "a loss that climbs means that the learning rate is too high: lower train.lr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is fitted; the fields are those of the section `train` of params.yaml."""

    lr: float
    epochs: int
    freeze_epochs: int
    batch_size: int
    seed: int
    optimizer: str
    weight_decay: float
    warmup_fraction: float
    sizes_px: tuple[int, ...]
    crop_min_area: float
    flip: bool
    label_smoothing: float


def fit_in_phases(
    model: Classifier,
    train: PackedSplit,
    valid: PackedSplit,
    recipe: Recipe,
    *,
    compute: Compute,
    on_step: Callable[[int], None] = lambda n_images: None,
) -> Iterator[EpochRecord]:
    """Train the head alone for `freeze_epochs`, then everything for `epochs`; errors as in `fit`.

    Each phase has its own optimizer and its own one-cycle schedule.
    """
    last = recipe.freeze_epochs + recipe.epochs
    if recipe.freeze_epochs:
        frozen = range(1, recipe.freeze_epochs + 1)
        with _frozen_body(model):
            yield from fit(
                model, train, valid, recipe, epochs=frozen, compute=compute, on_step=on_step
            )
    unfrozen = range(recipe.freeze_epochs + 1, last + 1)
    yield from fit(model, train, valid, recipe, epochs=unfrozen, compute=compute, on_step=on_step)


def fit(
    model: Classifier,
    train: PackedSplit,
    valid: PackedSplit,
    recipe: Recipe,
    *,
    epochs: range,
    compute: Compute,
    on_step: Callable[[int], None] = lambda n_images: None,
) -> Iterator[EpochRecord]:
    """Train what is trainable, yielding one record per epoch; the rate changes every step.

    Order and augmentation are functions of (seed, epoch, step) alone.

    Raises:
        TrainingError: the loss of an epoch is not finite.
    """
    optimizer = build_optimizer(
        recipe.optimizer, model, lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    steps = n_batches(len(train), recipe.batch_size)
    schedule = Schedule(
        peak_lr=recipe.lr,
        n_steps=steps * len(epochs),
        warmup_fraction=recipe.warmup_fraction,
    )
    augmentation = Augmentation(crop_min_area=recipe.crop_min_area, flip=recipe.flip)
    for index, epoch in enumerate(epochs):
        size_px = size_of_epoch(recipe.sizes_px, epoch=index + 1, n_epochs=len(epochs))
        _train_mode(model)
        torch.manual_seed(recipe.seed * 1_000_003 + epoch)  # for dropout
        loss_sum = torch.zeros((), device=compute.device)
        batches = train_batches(
            train,
            batch_size=recipe.batch_size,
            size_px=size_px,
            augmentation=augmentation,
            seed=recipe.seed,
            epoch=epoch,
        )
        for step, (pixels, labels) in enumerate(batches):
            set_lr(optimizer, schedule.lr(index * steps + step))
            loss_sum += train_step(
                model,
                optimizer,
                pixels,
                labels,
                label_smoothing=recipe.label_smoothing,
                compute=compute,
            )
            on_step(len(labels))
        train_loss = loss_sum.item() / steps  # the only wait for the device
        if not math.isfinite(train_loss):
            raise TrainingError(f"epoch {epoch}: the loss is {train_loss}; {ADVICE}")
        logits = predict_logits(model, valid.pixels, compute=compute)
        valid_loss, accuracy = loss_and_accuracy(logits, torch.from_numpy(valid.labels))
        if not math.isfinite(valid_loss):
            raise TrainingError(f"epoch {epoch}: the validation loss is {valid_loss}; {ADVICE}")
        yield EpochRecord(
            epoch=epoch,
            lr=schedule.lr((index + 1) * steps - 1),
            size_px=size_px,
            train_loss=train_loss,
            valid_loss=valid_loss,
            valid_accuracy=accuracy,
            kept=False,  # until all epochs are known
        )


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    pixels: Tensor,
    labels: Tensor,
    *,
    label_smoothing: float,
    compute: Compute,
) -> Tensor:
    """Take one optimizer step and return the batch's mean loss, still on the device."""
    pixels, labels = pixels.to(compute.device), labels.to(compute.device)
    with compute.autocast():
        logits = model(pixels)
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach()


def mark_kept(history: Sequence[EpochRecord]) -> list[EpochRecord]:
    """Mark the epoch of the lowest validation loss as kept, the last of equals."""
    lowest = min(record.valid_loss for record in history)
    kept = max(record.epoch for record in history if record.valid_loss == lowest)
    return [replace(record, kept=record.epoch == kept) for record in history]


def in_words(record: EpochRecord) -> str:
    """Return an epoch's figures as a line of text."""
    return (
        f"train loss {record.train_loss:.4f}, valid loss {record.valid_loss:.4f}, "
        f"valid accuracy {record.valid_accuracy:.4f}"
    )


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights and buffers, which later steps do not change."""
    return copy.deepcopy(model.state_dict())


def _train_mode(model: nn.Module) -> None:
    """Switch to training; batch norm whose parameters are frozen keeps its statistics."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
            module.eval()


@contextmanager
def _frozen_body(model: Classifier) -> Iterator[None]:
    """Train nothing but the head inside the block."""
    head = {id(parameter) for parameter in head_parameters(model)}
    stopped = [p for p in model.parameters() if p.requires_grad and id(p) not in head]
    for parameter in stopped:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in stopped:
            parameter.requires_grad_(True)
