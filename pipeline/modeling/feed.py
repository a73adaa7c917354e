"""What a phase of training is fed with: augmented images, or features computed once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.core.errors import ParamsError
from pipeline.modeling.augment import Augmentation
from pipeline.modeling.batches import epoch_order, n_batches, train_batches
from pipeline.modeling.device import Compute
from pipeline.modeling.group import ALONE, Group
from pipeline.modeling.predict import predict_together
from pipeline.modeling.zoo import Classifier, head_of
from pipeline.packing.packed import PackedSplit

Batches = Iterator[tuple[Tensor, Tensor]]
OnBatch = Callable[[int], None]
FEATURE_BATCH = 128


class Feed(Protocol):
    """Batches of one epoch after the other, and the validation images."""

    @property
    def trained(self) -> nn.Module:
        """The module that takes the batches."""

    def batches(self, *, epoch: int, size_px: int, start: int) -> Batches:
        """Yield the batches of an epoch from step `start` on; a pure function of its arguments."""

    def logits(self, model: nn.Module, *, on_batch: OnBatch) -> Tensor:
        """Return the validation logits (N, K) of `trained`, or of an average of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFeed:
    """Augmented images for the whole network."""

    model: nn.Module
    train: PackedSplit
    valid: PackedSplit
    augmentation: Augmentation
    batch_size: int
    seed: int
    balanced: bool
    n_classes: int
    compute: Compute
    group: Group = ALONE

    @property
    def trained(self) -> nn.Module:
        """The network."""
        return self.model

    def batches(self, *, epoch: int, size_px: int, start: int) -> Batches:
        """See `train_batches`."""
        return train_batches(
            self.train,
            batch_size=self.batch_size,
            size_px=size_px,
            augmentation=self.augmentation,
            seed=self.seed,
            epoch=epoch,
            start=start,
            balanced=self.balanced,
            n_classes=self.n_classes,
            group=self.group,
        )

    def logits(self, model: nn.Module, *, on_batch: OnBatch) -> Tensor:
        """See `predict_together`."""
        return predict_together(
            model,
            self.valid.pixels,
            n_classes=self.n_classes,
            compute=self.compute,
            group=self.group,
            on_batch=on_batch,
        )


@dataclass(frozen=True, slots=True)
class Features:
    """What the head is given for each image, in float32 on the CPU."""

    train: Tensor
    valid: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFeed:
    """Features of the plain images for the head alone; no augmentation."""

    head: nn.Module
    features: Features
    train: PackedSplit
    batch_size: int
    seed: int
    balanced: bool
    compute: Compute
    group: Group = ALONE

    @property
    def trained(self) -> nn.Module:
        """The head."""
        return self.head

    def batches(self, *, epoch: int, size_px: int, start: int) -> Batches:
        """Yield features (N, ...) and labels (N,); the size plays no part."""
        labels = torch.from_numpy(self.train.labels)
        order = epoch_order(self.train.labels, seed=self.seed, epoch=epoch, balanced=self.balanced)
        for step in range(start, n_batches(len(labels), self.batch_size)):
            batch = order[step * self.batch_size : (step + 1) * self.batch_size]
            index = torch.from_numpy(batch[self.group.rows_of(len(batch))])
            yield self.features.train[index], labels[index]

    @torch.inference_mode()
    def logits(self, model: nn.Module, *, on_batch: OnBatch) -> Tensor:
        """Return the head's logits (N, K) of the validation features."""
        model.eval()
        parts = []
        for features in torch.split(self.features.valid, FEATURE_BATCH):
            with self.compute.autocast():
                parts.append(model(features.to(self.compute.device)).float())
            on_batch(len(features))
        return torch.cat(parts).cpu()


@torch.no_grad()  # not inference_mode: the head's backward pass needs the features
def head_inputs(
    model: Classifier, split: PackedSplit, *, compute: Compute, on_batch: OnBatch
) -> Tensor:
    """Return what the head is given for each plain image: float32 (N, ...) on the CPU.

    Raises:
        ParamsError: the network has layers behind its head.
    """
    model.eval()
    head = head_of(model)
    taken: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    parts: list[Tensor] = []
    try:
        for start in range(0, len(split), FEATURE_BATCH):
            pixels = torch.tensor(split.pixels[start : start + FEATURE_BATCH])
            with compute.autocast():
                logits = model(pixels.to(compute.device))
                features = taken.pop()
                if not parts and not _is_last(head, features, logits):
                    raise ParamsError(
                        "train.precompute: found true, allowed: false; "
                        "this network has layers behind its head"
                    )
                taken.clear()
            parts.append(features.float().cpu())
            on_batch(len(pixels))
    finally:
        hook.remove()
    return torch.cat(parts)


def _is_last(head: nn.Module, features: Tensor, logits: Tensor) -> bool:
    found = head(features)
    return found.shape == logits.shape and torch.allclose(found, logits, atol=1e-3, rtol=1e-2)
