"""Training batches: order and augmentation as pure functions of (seed, epoch, step)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from pipeline.packing.encoded import pixel_batches
from pipeline.packing.packed import PackedSplit

CROPS_PER_BATCH = 8
"""A batch shares this many crop rectangles: resizing in groups is 1.5x as fast as one by one."""
ASPECT_RANGE = (3 / 4, 4 / 3)  # Szegedy et al. 2015, section 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What is done to a training image."""

    crop_min_area: float
    flip: bool


def n_batches(n_images: int, batch_size: int) -> int:
    """Return the batches of an epoch: full ones only, unless there is less than one.

    A last batch of a few images would have a noisy batch norm and the weight of a full one.
    """
    return max(1, n_images // batch_size)


def images_per_epoch(n_images: int, batch_size: int) -> int:
    """Return how many images an epoch trains on."""
    return min(n_images, n_batches(n_images, batch_size) * batch_size)


def train_batches(
    split: PackedSplit,
    *,
    batch_size: int,
    size_px: int,
    augmentation: Augmentation,
    seed: int,
    epoch: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (pixels, labels) batches: uint8 (N, size_px, size_px, 3) and int64 (N,)."""
    order = np.random.default_rng([seed, epoch]).permutation(len(split))
    steps = range(n_batches(len(split), batch_size))
    indices = [order[step * batch_size : (step + 1) * batch_size] for step in steps]
    batches = pixel_batches(split.pixels, indices)
    for step, index, pixels in zip(steps, indices, batches, strict=True):
        rng = np.random.default_rng([seed, epoch, step])
        yield (
            augment(torch.from_numpy(pixels), augmentation, size_px=size_px, rng=rng),
            torch.from_numpy(split.labels[index]),
        )


def augment(pixels: Tensor, augmentation: Augmentation, *, size_px: int, rng: Generator) -> Tensor:
    """Crop, scale and mirror uint8 pixels (N, H, W, 3) to (N, size_px, size_px, 3)."""
    images = pixels.permute(0, 3, 1, 2)  # channels last in memory, as the convolutions want it
    if augmentation.flip:
        mirrored = torch.from_numpy(rng.random(len(images)) < 0.5)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    groups = [
        resize(_random_crop(group, augmentation.crop_min_area, rng), size_px)
        for group in images.chunk(CROPS_PER_BATCH)
    ]
    return torch.cat(groups).permute(0, 2, 3, 1)


def resize(images: Tensor, size_px: int) -> Tensor:
    """Scale uint8 images (N, 3, H, W) to a square, antialiased."""
    if images.shape[2:] == (size_px, size_px):
        return images
    return F.interpolate(images, size=(size_px, size_px), mode="bilinear", antialias=True)


def _random_crop(images: Tensor, min_area: float, rng: Generator) -> Tensor:
    """Cut one random rectangle out of every image of the group."""
    if min_area >= 1:
        return images
    height, width = images.shape[2:]
    area = rng.uniform(min_area, 1)
    aspect = np.exp(rng.uniform(*np.log(ASPECT_RANGE)))
    crop_h = min(height, max(1, round(height * (area / aspect) ** 0.5)))
    crop_w = min(width, max(1, round(width * (area * aspect) ** 0.5)))
    top, left = rng.integers(height - crop_h + 1), rng.integers(width - crop_w + 1)
    return images[:, :, top : top + crop_h, left : left + crop_w]
