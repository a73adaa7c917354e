"""Training batches: order and augmentation as pure functions of (seed, epoch, step)."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from pipeline.modeling.augment import Augmentation, augment, mix, resize
from pipeline.modeling.group import ALONE, Group
from pipeline.packing.encoded import pixel_batches
from pipeline.packing.packed import PackedSplit

__all__ = [
    "Augmentation",
    "augment",
    "dropout_seed",
    "epoch_order",
    "images_per_epoch",
    "n_batches",
    "resize",
    "train_batches",
]

AUGMENTATION, ORDER, DROPOUT, MIRROR = range(4)
"""Streams of random numbers. NumPy pads a seed with zeros, so that (seed, epoch) alone would be the
stream of step 0."""


def n_batches(n_images: int, batch_size: int) -> int:
    """Return the batches of an epoch: full ones only, unless there is less than one.

    A last batch of a few images would have a noisy batch norm and the weight of a full one.
    """
    return max(1, n_images // batch_size)


def images_per_epoch(n_images: int, batch_size: int) -> int:
    """Return how many images an epoch trains on."""
    return min(n_images, n_batches(n_images, batch_size) * batch_size)


def epoch_order(
    labels: NDArray[np.int64], *, seed: int, epoch: int, balanced: bool = False
) -> NDArray[np.int64]:
    """Return the order (N,) in which an epoch shows the images.

    Args:
        labels: (N,) class indices.
        seed: of the training.
        epoch: from 1.
        balanced: show every class equally often, to within one image: a rare class's images come
            several times, equally often to within once; some of a common one's do not come.
    """
    rng = _generator(seed, epoch, 0, ORDER)
    if not balanced:
        return rng.permutation(len(labels))
    classes = np.unique(labels)
    shares = np.diff(np.linspace(0, len(labels), len(classes) + 1).round().astype(int))
    drawn = []
    for label, share in zip(classes, shares, strict=True):
        rows = np.flatnonzero(labels == label)
        rounds = -(-int(share) // len(rows))
        drawn.append(np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:share])
    return rng.permutation(np.concatenate(drawn))


def mirrored_in(n_images: int, *, seed: int, epoch: int) -> NDArray[np.bool_]:
    """Return which images (N,) an epoch shows mirrored: half of them at random, then the others.

    Two epochs in a row show both sides of every image, which a draw in each epoch does for half of
    them: Jordan 2024, arXiv:2404.00498, section 3.6.
    """
    first = _generator(seed, 0, 0, MIRROR).random(n_images) < 0.5
    return first if epoch % 2 else ~first


def train_batches(
    split: PackedSplit,
    *,
    batch_size: int,
    size_px: int,
    augmentation: Augmentation,
    seed: int,
    epoch: int,
    start: int = 0,
    balanced: bool = False,
    n_classes: int | None = None,
    group: Group = ALONE,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (pixels, targets) batches: uint8 (N, size_px, size_px, 3), and int64 labels (N,).

    In a group of processes each one yields its rows of the same batches.

    Args:
        split: the training images.
        batch_size: N.
        size_px: side of the crops.
        augmentation: what is done to the images; if it mixes them, targets are float32 (N, K).
        seed: of the training.
        epoch: from 1.
        start: the first step to yield; those before cost nothing.
        balanced: see `epoch_order`.
        n_classes: K; needed where images are mixed, else taken for the largest label.
        group: who shares the batches.
    """
    order = epoch_order(split.labels, seed=seed, epoch=epoch, balanced=balanced)
    steps = range(start, n_batches(len(split), batch_size))
    indices = [order[step * batch_size : (step + 1) * batch_size] for step in steps]
    if not augmentation.mixes:  # else an image needs others, wherever they are
        indices = [index[group.rows_of(len(index))] for index in indices]
    mirrored = mirrored_in(len(split), seed=seed, epoch=epoch) if augmentation.flip else None
    n_images = min(batch_size, len(order))
    rows = slice(0, n_images) if augmentation.mixes else group.rows_of(n_images)
    for step, index, pixels in zip(
        steps, indices, pixel_batches(split.pixels, indices), strict=True
    ):
        rng = _generator(seed, epoch, step, AUGMENTATION)
        images = augment(
            torch.from_numpy(pixels),
            augmentation,
            size_px=size_px,
            rng=rng,
            mirrored=None if mirrored is None else mirrored[index],
            rows=rows,
            batch_size=n_images,
        )
        labels = torch.from_numpy(split.labels[index])
        if augmentation.mixes:
            k = n_classes or int(split.labels.max()) + 1
            images, labels = mix(images, labels, augmentation, n_classes=k, rng=rng)
            images, labels = images[group.rows_of(n_images)], labels[group.rows_of(n_images)]
        yield images, labels


def dropout_seed(seed: int, epoch: int, step: int, *, rank: int = 0) -> int:
    """Return the seed of torch's generator in a step, for dropout and stochastic depth.

    The processes of a group draw for their own rows: others than one process would draw.
    """
    words = [seed, epoch, step, DROPOUT, *([rank] if rank else [])]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


def _generator(seed: int, epoch: int, step: int, stream: int) -> Generator:
    return np.random.default_rng([seed, epoch, step, stream])
