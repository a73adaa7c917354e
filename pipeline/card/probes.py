"""Pictures that show none of the classes, drawn to see what the model says to them."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageDraw

from pipeline.sources.scenery import background

SIZE = (240, 180)
Rng = np.random.Generator


def probe_images(n_images: int, *, seed: int) -> Iterator[tuple[str, Image.Image]]:
    """Yield `n_images` pairs of a kind and an RGB picture, the kinds in turn.

    A picture depends on the seed and its place alone, so a longer list begins with a shorter one.
    """
    kinds = list(KINDS)
    for index in range(n_images):
        kind = kinds[index % len(kinds)]
        yield kind, KINDS[kind](np.random.default_rng([seed, index]))


def _scene(rng: Rng) -> Image.Image:
    return background(SIZE, rng)


def _shapes(rng: Rng) -> Image.Image:
    image = Image.new("RGB", SIZE, _color(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 9)):
        corners = rng.uniform((0, 0), SIZE, (2, 2))
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        (draw.ellipse, draw.rectangle)[rng.integers(2)](
            (left, top, right, bottom), fill=_color(rng)
        )
    return image


def _noise(rng: Rng) -> Image.Image:
    """Return noise of a random grain: single pixels up to blots a third of the picture wide."""
    cells = int(np.exp(rng.uniform(np.log(3), np.log(SIZE[0]))))
    pixels = rng.integers(0, 256, (max(1, cells * SIZE[1] // SIZE[0]), cells, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(SIZE, Image.Resampling.BICUBIC)


def _plain(rng: Rng) -> Image.Image:
    """Return one colour that fades into another."""
    ends = np.array([[_color(rng)], [_color(rng)]], dtype=np.uint8)
    image = Image.fromarray(ends if rng.random() < 0.5 else ends.swapaxes(0, 1))
    return image.resize(SIZE, Image.Resampling.BILINEAR)


def _color(rng: Rng) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


KINDS: dict[str, Callable[[Rng], Image.Image]] = {
    "scenes": _scene,
    "shapes": _shapes,
    "noise": _noise,
    "plain": _plain,
}
"""Rooms and gardens without an animal; discs and rectangles; noise; one colour fading."""
