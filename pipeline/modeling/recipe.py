"""What a training is: its phases, and what each is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.core.artifacts import EpochRecord
from pipeline.core.errors import ParamsError
from pipeline.modeling.augment import Augmentation
from pipeline.modeling.group import Group
from pipeline.modeling.layers import layer_groups
from pipeline.modeling.optimizers import build_optimizer
from pipeline.modeling.schedule import Schedule, size_of_epoch
from pipeline.modeling.zoo import Classifier


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
    schedule: str = "linear"
    cycle_epochs: int = 1
    cycle_factor: int = 1
    patience: int | None = None
    precompute: bool = False
    lr_factors: tuple[float, ...] = (1.0,)
    accumulate: int = 1
    clip_norm: float | None = None
    ema_decay: float | None = None
    balance: str = "none"
    jitter: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    head_lr: float | None = None
    """Peak rate while the body is frozen; None is `lr`."""

    def peak_lr(self, phase: "Phase") -> float:
        """Return the peak rate of a phase."""
        return self.lr if self.head_lr is None or not phase.head_alone else self.head_lr

    def peak_name(self, phase: "Phase") -> str:
        """Return the parameter that sets the peak rate of a phase."""
        return "train.lr" if self.head_lr is None or not phase.head_alone else "train.head_lr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Epochs with an optimizer and a schedule of their own."""

    epochs: range
    head_alone: bool = False
    precomputed: bool = False
    """The head is fed with features that were computed once."""


def phases_of(recipe: Recipe) -> tuple[Phase, ...]:
    """Return the phases: the head alone for `freeze_epochs`, then everything for `epochs`."""
    first = recipe.freeze_epochs + 1
    unfrozen = Phase(epochs=range(first, first + recipe.epochs))
    if not recipe.freeze_epochs:
        return (unfrozen,)
    frozen = Phase(epochs=range(1, first), head_alone=True, precomputed=recipe.precompute)
    return (frozen, unfrozen)


def build_augmentation(recipe: Recipe) -> Augmentation:
    """Return what is done to a training image."""
    return Augmentation(
        crop_min_area=recipe.crop_min_area,
        flip=recipe.flip,
        jitter=recipe.jitter,
        erasing=recipe.erasing,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
    )


def build_schedule(recipe: Recipe, phase: Phase, *, steps_per_epoch: int) -> Schedule:
    """Return the rate of each step of a phase."""
    return Schedule(
        peak_lr=recipe.peak_lr(phase),
        n_steps=steps_per_epoch * len(phase.epochs),
        warmup_fraction=recipe.warmup_fraction,
        shape=recipe.schedule,
        cycle_steps=steps_per_epoch * recipe.cycle_epochs,
        cycle_factor=recipe.cycle_factor,
    )


def build_phase_optimizer(
    recipe: Recipe, phase: Phase, model: Classifier, *, bf16: bool
) -> Optimizer:
    """Return an optimizer over what the phase trains."""
    return build_layered_optimizer(
        recipe.optimizer,
        model,
        lr=recipe.peak_lr(phase),
        weight_decay=recipe.weight_decay,
        lr_factors=recipe.lr_factors,
        head_alone=phase.head_alone,
        bf16=bf16,
    )


def build_layered_optimizer(
    name: str,
    model: Classifier,
    *,
    lr: float,
    weight_decay: float,
    lr_factors: Sequence[float],
    head_alone: bool,
    bf16: bool,
) -> Optimizer:
    """Return an optimizer over as many layer groups as there are factors; the head alone is one."""
    factors = (1.0,) if head_alone else lr_factors
    return build_optimizer(
        name,
        model,
        lr=lr,
        weight_decay=weight_decay,
        bf16=bf16,
        groups=layer_groups(model, len(factors)),
        lr_factors=factors,
    )


def build_average(recipe: Recipe, phase: Phase, model: Classifier) -> AveragedModel | None:
    """Return the running average of the weights, if there is to be one.

    Update n keeps `average_decay` of it, so that a training of few steps is not an average of its
    first weights.
    """
    if recipe.ema_decay is None or phase.head_alone:
        return None
    most = recipe.ema_decay

    def update(averaged: Any, current: Any, n_averaged: Any) -> None:
        # Not `n_averaged`: that may be a copy on the GPU, which one would have to wait for.
        decay = average_decay(int(average.n_averaged), most=most)
        get_ema_multi_avg_fn(decay)(averaged, current, n_averaged)  # type: ignore[no-untyped-call]

    average = AveragedModel(model, multi_avg_fn=update, use_buffers=True)
    return average


def average_decay(n_averaged: int, *, most: float) -> float:
    """Return the share that the average keeps after so many weights; from 2/11 up to `most`.

    As TensorFlow's `ExponentialMovingAverage` with `num_updates`.
    """
    return min(most, (1 + n_averaged) / (10 + n_averaged))


def crop_size_px(recipe: Recipe, phase: Phase, *, epoch: int, packed_px: int) -> int:
    """Return the side of what the network is shown in an epoch; features are of whole images."""
    if phase.precomputed:
        return packed_px
    index = epoch - phase.epochs[0] + 1
    return size_of_epoch(recipe.sizes_px, epoch=index, n_epochs=len(phase.epochs))


def require_rows(recipe: Recipe, n_images: int, group: Group) -> None:
    """Check that every process has a row of every part of a batch.

    Raises:
        ParamsError: it has not.
    """
    needed, found = group.size * recipe.accumulate, min(recipe.batch_size, n_images)
    if group.size > 1 and found < needed:
        raise ParamsError(
            f"train.batch_size: found batches of {found} images, allowed: at least {needed}, "
            f"one for each of {group.size} processes and train.accumulate {recipe.accumulate}"
        )


def out_of_patience(recipe: Recipe, phase: Phase, history: Sequence[EpochRecord]) -> bool:
    """Tell whether the phase has gone on for `patience` epochs without a better one."""
    if recipe.patience is None:
        return False
    latest_first = [r.valid_loss for r in reversed(history) if r.epoch in phase.epochs]
    return bool(latest_first) and latest_first.index(min(latest_first)) >= recipe.patience
