"""A small learnable set of packed pixels: the classes differ by where the light is."""

import numpy as np

from pipeline.modeling.recipe import Recipe
from pipeline.packing.packed import PackedSplit

RECIPE = Recipe(
    lr=0.02,
    epochs=2,
    freeze_epochs=0,
    batch_size=16,
    seed=0,
    optimizer="muon",
    weight_decay=0.01,
    warmup_fraction=0.2,
    sizes_px=(24, 32),
    crop_min_area=0.9,
    flip=True,
    label_smoothing=0.0,
)


def make_split(n_images: int, *, size_px: int = 32, seed: int = 0) -> PackedSplit:
    """Return images of two classes in turn, lit from above or from below."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_images) % 2
    pixels = rng.integers(0, 120, (n_images, size_px, size_px, 3), dtype=np.uint8)
    half = size_px // 2
    for image, label in zip(pixels, labels, strict=True):
        rows = slice(0, half) if label else slice(half, None)
        image[rows] += 100
    return PackedSplit(pixels, labels.astype(np.int64), tuple(f"c/{i}" for i in range(n_images)))
