"""Augmentation of whole batches: pure functions of the pixels and a generator's state.

Pixels are uint8 (N, H, W, 3) before and after, so that what is shown to the network can be looked
at. What is switched off draws no random number: switching one on leaves the others' draws as they
were, as long as they come before it in the order crop, jitter, erase, mix. Which images are
mirrored is said from outside, since it depends on the epoch before.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.imaging.preprocess import PAD_COLOUR

CROPS_PER_BATCH = 8
"""A batch shares this many crop rectangles: resizing in groups is 1.5x as fast as one by one."""
ASPECT_RANGE = (3 / 4, 4 / 3)  # Szegedy et al. 2015, section 6
ERASED_AREA = (0.02, 1 / 3)  # Zhong et al. 2020, section 4.2; torchvision's RandomErasing too
ERASED_ASPECT = (0.3, 3.3)
LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, as torchvision's rgb_to_grayscale


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What is done to a training image; see the section `train` of params.yaml."""

    crop_min_area: float
    flip: bool
    jitter: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, so that a target is a share of every class."""
        return self.mixup > 0 or self.cutmix > 0


def augment(
    pixels: Tensor,
    augmentation: Augmentation,
    *,
    size_px: int,
    rng: Generator,
    mirrored: NDArray[np.bool_] | None = None,
    rows: slice | None = None,
    batch_size: int | None = None,
) -> Tensor:
    """Mirror, crop, scale and more: uint8 pixels (N, H, W, 3) to (N, size_px, size_px, 3).

    Args:
        pixels: the images.
        augmentation: what is done to them.
        size_px: side of the result.
        mirrored: (N,), which of them are mirrored; None is none.
        rng: what is drawn; the draws are those of the whole batch.
        rows: which images of a batch these are; None is all.
        batch_size: images of the whole batch; needed with `rows`.
    """
    whole = len(pixels) if batch_size is None else batch_size
    rows = slice(0, whole) if rows is None else rows
    images = pixels.permute(0, 3, 1, 2)  # channels last in memory, as the convolutions want it
    if mirrored is not None:
        chosen = torch.from_numpy(mirrored)[:, None, None, None]
        images = torch.where(chosen, images.flip(3), images)
    groups = [
        resize(crop, size_px)
        for group in _crop_groups(images, rows=rows, batch_size=whole)
        if len(crop := _random_crop(group, augmentation.crop_min_area, rng))
    ]
    pixels = torch.cat(groups).permute(0, 2, 3, 1)
    if augmentation.jitter:
        low, high = 1 - augmentation.jitter, 1 + augmentation.jitter
        factors = rng.uniform(low, high, (3, whole))[:, rows]
        pixels = recolour(pixels, torch.from_numpy(factors))
    if augmentation.erasing:
        pixels = erase(pixels, probability=augmentation.erasing, rng=rng, rows=rows, n_drawn=whole)
    return pixels


def resize(images: Tensor, size_px: int) -> Tensor:
    """Scale uint8 images (N, 3, H, W) to a square, antialiased."""
    if images.shape[2:] == (size_px, size_px):
        return images
    return F.interpolate(images, size=(size_px, size_px), mode="bilinear", antialias=True)


def recolour(pixels: Tensor, factors: Tensor) -> Tensor:
    """Change brightness, contrast and saturation, in this order; 1 leaves them as they are.

    Args:
        pixels: uint8 (N, H, W, 3).
        factors: (3, N), each at least 0; torchvision's `adjust_brightness`, `adjust_contrast` and
            `adjust_saturation` define their meaning.
    """
    brightness, contrast, saturation = factors.float()[:, :, None, None, None]
    luma = torch.tensor(LUMA)
    images = (pixels.float() * brightness).clamp_(0, 255)
    mean = (images @ luma).mean((1, 2))[:, None, None, None]
    images = torch.lerp(mean, images, contrast).clamp_(0, 255)
    images = torch.lerp((images @ luma)[..., None], images, saturation)
    return images.clamp_(0, 255).round_().to(torch.uint8)


def erase(
    pixels: Tensor,
    *,
    probability: float,
    rng: Generator,
    rows: slice | None = None,
    n_drawn: int | None = None,
) -> Tensor:
    """Fill a random rectangle of some images with the mean colour.

    Zhong et al. 2020, Random Erasing Data Augmentation, section 3.2. The mean colour rather than
    noise: to the network it is zero. Each image is drawn for itself; of `n_drawn` images that are
    drawn these are `rows`.
    """
    height, width = pixels.shape[1:3]
    n = len(pixels) if n_drawn is None else n_drawn
    chosen = rng.random(n) < probability
    area = rng.uniform(*ERASED_AREA, n) * height * width
    low, high = np.log(ERASED_ASPECT)
    aspect = np.exp(rng.uniform(low, high, n))
    down = _covered(np.sqrt(area * aspect), height, rng)
    across = _covered(np.sqrt(area / aspect), width, rng)
    mask = torch.from_numpy(chosen)[:, None, None] & down[:, :, None] & across[:, None, :]
    colour = torch.tensor(PAD_COLOUR, dtype=torch.uint8)
    return torch.where((mask if rows is None else mask[rows])[..., None], colour, pixels)


def mix(
    pixels: Tensor, labels: Tensor, augmentation: Augmentation, *, n_classes: int, rng: Generator
) -> tuple[Tensor, Tensor]:
    """Mix every image with another of the batch, by mixup or CutMix; half and half if both are on.

    One share is drawn for the batch from Beta(alpha, alpha).

    Args:
        pixels: uint8 (N, H, W, 3).
        labels: int64 (N,).
        augmentation: `mixup` and `cutmix` are the alphas.
        n_classes: K.
        rng: what is drawn.

    Returns:
        Pixels as before, and float32 targets (N, K), each row summing to 1.

    Source: Zhang et al. 2018, mixup, section 2; Yun et al. 2019, CutMix, section 3.1.
    """
    other = torch.from_numpy(rng.permutation(len(pixels)))
    both = augmentation.mixup > 0 and augmentation.cutmix > 0
    cut = rng.random() < 0.5 if both else augmentation.cutmix > 0
    alpha = augmentation.cutmix if cut else augmentation.mixup
    own = float(rng.beta(alpha, alpha))
    if cut:
        height, width = pixels.shape[1:3]
        side = (1 - own) ** 0.5
        rows = _box(side * height, height, rng)
        columns = _box(side * width, width, rng)
        own = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        mixed = pixels.clone()
        mixed[:, rows, columns] = pixels[other, rows, columns]
    else:
        mixed = torch.lerp(pixels[other].float(), pixels.float(), own).round_().to(torch.uint8)
    targets = F.one_hot(labels, n_classes).float()
    return mixed, own * targets + (1 - own) * targets[other]


def _crop_groups(images: Tensor, *, rows: slice, batch_size: int) -> Iterator[Tensor]:
    """Yield the images of each group of the batch that shares a crop; of some groups none."""
    step = -(-batch_size // CROPS_PER_BATCH)
    for first in range(0, batch_size, step):
        start, stop = (
            min(max(edge - rows.start, 0), len(images)) for edge in (first, first + step)
        )
        yield images[start:stop]


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


def _covered(lengths: np.ndarray, side: int, rng: Generator) -> Tensor:
    """Return (N, side) truth values: where a stretch of each length, placed at random, lies."""
    length = np.clip(np.round(lengths).astype(int), 1, side)
    start = rng.integers(side - length + 1)
    at = np.arange(side)
    return torch.from_numpy((at >= start[:, None]) & (at < (start + length)[:, None]))


def _box(length: float, side: int, rng: Generator) -> slice:
    """Return a stretch around a random middle, cut off at the edges (CutMix, equation 2)."""
    middle = rng.uniform(0, side)
    ends = np.clip(np.round([middle - length / 2, middle + length / 2]), 0, side).astype(int)
    return slice(*ends.tolist())
