"""The training loop: can be left after any step, and gone on with to the same bytes."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from pipeline.core.artifacts import EpochRecord
from pipeline.core.errors import TrainingError
from pipeline.modeling.advice import climbed
from pipeline.modeling.batches import dropout_seed, images_per_epoch, n_batches
from pipeline.modeling.device import Compute
from pipeline.modeling.feed import FeatureFeed, Features, Feed, PixelFeed
from pipeline.modeling.group import ALONE, Group
from pipeline.modeling.history import mark_kept
from pipeline.modeling.layers import frozen, still_layers, train_mode
from pipeline.modeling.optimizers import set_lr
from pipeline.modeling.predict import loss_and_accuracy
from pipeline.modeling.recipe import (
    Phase,
    Recipe,
    build_augmentation,
    build_average,
    build_phase_optimizer,
    build_schedule,
    crop_size_px,
    out_of_patience,
    phases_of,
    require_rows,
)
from pipeline.modeling.schedule import Schedule
from pipeline.modeling.step import all_finite, balancing_weights, train_step
from pipeline.modeling.zoo import Classifier, head_of
from pipeline.packing.packed import PackedSplit

OnStep = Callable[[int], None]


class Fitting:
    """A training that yields a record per epoch.

    Order and augmentation are functions of (seed, epoch, step) alone, and `state_dict` holds the
    rest, so that a fitting which is made anew and given the state of another goes on as if nothing
    had happened. The model is trained in place.

    Args:
        model: the network, on the device.
        train: images to learn from.
        valid: images by which the best epoch is told.
        recipe: how.
        compute: where.
        features: what the head is given, for precomputed phases.
        n_classes: K; None takes the largest label.
        group: who trains it; all must be given the same.

    Raises:
        ParamsError: a batch has too few images for the group.
    """

    def __init__(
        self,
        model: Classifier,
        train: PackedSplit,
        valid: PackedSplit,
        recipe: Recipe,
        *,
        compute: Compute,
        features: Features | None = None,
        n_classes: int | None = None,
        group: Group = ALONE,
    ) -> None:
        require_rows(recipe, len(train), group)
        self.group = group
        self.model, self.train, self.valid = model, train, valid
        self.recipe, self.compute, self.features = recipe, compute, features
        self.phases = tuple(phases_of(recipe))
        self.n_classes = n_classes or int(max(train.labels.max(), valid.labels.max())) + 1
        self.history: list[EpochRecord] = []
        self.best: dict[str, Tensor] = {}
        self.epoch, self.step = self.phases[0].epochs[0], 0
        self.n_steps = n_batches(len(train), recipe.batch_size)
        self._loss_sum = torch.zeros((), device=compute.device)
        self._optimizer: Optimizer | None = None
        self._averaged: AveragedModel | None = None
        self._restored: dict[str, Any] = {}

    @property
    def images_left(self) -> int:
        """How many images are still to be trained on if nothing stops the training early."""
        epochs = self.phases[-1].epochs[-1] - self.epoch + 1
        whole = images_per_epoch(len(self.train), self.recipe.batch_size)
        return max(0, epochs * whole - self.step * min(self.recipe.batch_size, len(self.train)))

    def run(self, on_step: OnStep = lambda n_images: None) -> Iterator[EpochRecord]:
        """Train what is left, yielding a record per epoch.

        Args:
            on_step: called after each step with its number of images, and with 0 after each batch
                of validation; `state_dict` may be taken there, and when a record was yielded.

        Raises:
            TrainingError: the loss is not finite, or climbs.
        """
        for phase in self.phases:
            still = still_layers(
                self.model, lr_factors=self.recipe.lr_factors, head_alone=phase.head_alone
            )
            with frozen(still):
                yield from self._run_phase(phase, on_step)

    def mean_loss(self) -> float:
        """Return the mean training loss of the epoch so far, in nats; this waits for the device.

        Raises:
            TrainingError: it is not finite.
        """
        loss = self._loss_sum.item() / max(1, self.step)
        self._require_finite(loss, "the loss")
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state after the last step: tensors, numbers and text only.

        Raises:
            TrainingError: a weight or the loss is not finite; such a state is of no use.
        """
        self.mean_loss()
        model = self.model.state_dict()
        if not all_finite(list(model.values())):
            raise TrainingError(f"epoch {self.epoch}: a weight is not finite; {self._advice()}")
        return {
            "epoch": self.epoch,
            "step": self.step,
            "loss_sum": self._loss_sum,
            "model": model,
            "optimizer": self._optimizer.state_dict() if self._optimizer else None,
            "averaged": self._averaged.state_dict() if self._averaged else None,
            "history": [asdict(record) for record in self.history],
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned; the rest takes effect in `run`."""
        self.epoch, self.step = state["epoch"], state["step"]
        self._loss_sum = state["loss_sum"].to(self.compute.device)
        self.model.load_state_dict(state["model"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.best = state["best"]
        self._restored = state

    def _run_phase(self, phase: Phase, on_step: OnStep) -> Iterator[EpochRecord]:
        if self.epoch not in phase.epochs:
            return
        recipe, feed = self.recipe, self._feed(phase)
        schedule = build_schedule(recipe, phase, steps_per_epoch=self.n_steps)
        self._optimizer = build_phase_optimizer(recipe, phase, self.model, bf16=self.compute.bf16)
        self._averaged = build_average(recipe, phase, self.model)
        self._restore()
        while self.epoch in phase.epochs and not self._is_over(phase):
            packed_px = int(self.train.pixels.shape[1])
            size_px = crop_size_px(recipe, phase, epoch=self.epoch, packed_px=packed_px)
            self._train_epoch(feed, schedule, phase, size_px=size_px, on_step=on_step)
            record = self._validate(feed, on_step)
            first = (self.epoch - phase.epochs[0]) * self.n_steps
            record = replace(
                record,
                lr=schedule.lr(first + self.n_steps - 1),
                size_px=size_px,
                restart=bool(self.history) and schedule.begins_anew(first),
            )
            self._close_epoch(record, phase)
            yield self.history[-1]

    def _train_epoch(
        self, feed: Feed, schedule: Schedule, phase: Phase, *, size_px: int, on_step: OnStep
    ) -> None:
        assert self._optimizer is not None
        recipe, weights = self.recipe, self._class_weights()
        train_mode(feed.trained)
        done = (self.epoch - phase.epochs[0]) * self.n_steps
        batches = feed.batches(epoch=self.epoch, size_px=size_px, start=self.step)
        for inputs, targets in batches:
            torch.manual_seed(
                dropout_seed(recipe.seed, self.epoch, self.step, rank=self.group.rank)
            )
            set_lr(self._optimizer, schedule.lr(done + self.step))
            self._loss_sum += train_step(
                feed.trained,
                self._optimizer,
                inputs,
                targets,
                label_smoothing=recipe.label_smoothing,
                compute=self.compute,
                class_weights=weights,
                parts=recipe.accumulate,
                clip_norm=recipe.clip_norm,
                group=self.group,
            )
            if self._averaged is not None:
                self._averaged.update_parameters(self.model)
            self.step += 1
            on_step(min(recipe.batch_size, len(self.train)))

    def _validate(self, feed: Feed, on_step: OnStep) -> EpochRecord:
        train_loss = self.mean_loss()
        module = feed.trained if self._averaged is None else self._averaged.module
        logits = feed.logits(module, on_batch=lambda n_images: on_step(0))
        loss, accuracy = loss_and_accuracy(logits, torch.from_numpy(self.valid.labels))
        self._require_finite(loss, "the validation loss")
        return EpochRecord(
            epoch=self.epoch,
            lr=0.0,
            size_px=0,
            train_loss=train_loss,
            valid_loss=loss,
            valid_accuracy=accuracy,
            kept=False,
            restart=False,
        )

    def _close_epoch(self, record: EpochRecord, phase: Phase) -> None:
        """Take an epoch into the history, and make ready for the next."""
        self.history = mark_kept([*self.history, record])
        if climbed(self.history, chance=math.log(self.n_classes)):
            lowest = min(past.train_loss for past in self.history)
            raise TrainingError(
                f"epoch {record.epoch}: the training loss climbed from {lowest:.3g} to "
                f"{record.train_loss:.3g}; {self._advice()}"
            )
        if self.history[-1].kept:
            averaged = self._averaged
            self.best = weights_of(self.model if averaged is None else averaged.module)
        self.epoch, self.step = self.epoch + 1, 0
        self._loss_sum = torch.zeros_like(self._loss_sum)
        if self.epoch not in phase.epochs:  # the next phase begins afresh
            self._optimizer = self._averaged = None

    def _restore(self) -> None:
        state, self._restored = self._restored, {}
        if self._optimizer is not None and state.get("optimizer") is not None:
            self._optimizer.load_state_dict(state["optimizer"])
        if self._averaged is not None and state.get("averaged") is not None:
            self._averaged.load_state_dict(state["averaged"])

    def _feed(self, phase: Phase) -> Feed:
        recipe, balanced = self.recipe, self.recipe.balance == "sampler"
        if phase.precomputed:
            assert self.features is not None, "computed before the fitting is made"
            return FeatureFeed(
                head=head_of(self.model),
                features=self.features,
                train=self.train,
                batch_size=recipe.batch_size,
                seed=recipe.seed,
                balanced=balanced,
                compute=self.compute,
                group=self.group,
            )
        return PixelFeed(
            model=self.model,
            train=self.train,
            valid=self.valid,
            augmentation=build_augmentation(recipe),
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            balanced=balanced,
            n_classes=self.n_classes,
            compute=self.compute,
            group=self.group,
        )

    def _class_weights(self) -> Tensor | None:
        if self.recipe.balance != "weights":
            return None
        weights = balancing_weights(self.train.labels, n_classes=self.n_classes)
        return weights.to(self.compute.device)

    def _is_over(self, phase: Phase) -> bool:
        """Tell whether the phase, the last one, has gone on long enough without a better epoch."""
        last = phase is self.phases[-1]
        return last and out_of_patience(self.recipe, phase, self.history)

    def _require_finite(self, loss: float, what: str) -> None:
        if not math.isfinite(loss):
            raise TrainingError(f"epoch {self.epoch}: {what} is {loss}; {self._advice()}")

    def _advice(self) -> str:
        phase = next((p for p in self.phases if self.epoch in p.epochs), self.phases[-1])
        name, third = self.recipe.peak_name(phase), self.recipe.peak_lr(phase) / 3
        return f"the learning rate is likely too high: lower {name}, to {third:.2g} for a start"


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights and buffers, which later steps do not change."""
    return copy.deepcopy(model.state_dict())
