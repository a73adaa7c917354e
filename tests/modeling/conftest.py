"""A small learnable set of packed pixels: the classes differ by where the light is."""

import numpy as np
import pytest
import torch

from pipeline.modeling.device import Compute
from pipeline.packing.packed import PackedSplit


def make_split(n_images: int, *, size_px: int = 32, seed: int = 0) -> PackedSplit:
    rng = np.random.default_rng(seed)
    labels = np.arange(n_images) % 2
    pixels = rng.integers(0, 120, (n_images, size_px, size_px, 3), dtype=np.uint8)
    half = size_px // 2
    for image, label in zip(pixels, labels, strict=True):
        rows = slice(0, half) if label else slice(half, None)
        image[rows] += 100
    return PackedSplit(pixels, labels.astype(np.int64), tuple(f"c/{i}" for i in range(n_images)))


@pytest.fixture
def train_split():
    return make_split(64)


@pytest.fixture
def valid_split():
    return make_split(32, seed=1)


@pytest.fixture
def cpu():
    return Compute(device=torch.device("cpu"), bf16=False)
