"""Things between the painter and the animal."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.sources.coat import GREENS, any_color, mix, pick

Rng = np.random.Generator
Points = NDArray[np.float64]
Size = tuple[int, int]
Face = tuple[float, float, float]


def obstruct(
    image: Image.Image,
    alpha: Image.Image,
    mask: Image.Image,
    *,
    face: Face,
    rng: Rng,
) -> None:
    """Put something before the animal, without hiding the middle of its face.

    Args:
        image: the layer with the animal, painted on.
        alpha: where anything is on that layer; what comes is added.
        mask: where the animal is seen; what is hidden is taken out.
        face: centre and radius of the head in pixels.
        rng: decides what it is.
    """
    hide = (_fence, _grass, _edge, _curtain, _leaves)[rng.integers(5)]
    color = pick(GREENS, rng) if hide in (_grass, _leaves) else any_color(rng)
    for k, shape in enumerate(hide(image.size, face, rng)):
        flat = shape.ravel().tolist()
        shade = mix(color, (0, 0, 0), 0.22 * (k % 2))
        ImageDraw.Draw(image).polygon(flat, fill=shade, outline=mix(color, (0, 0, 0), 0.4))
        ImageDraw.Draw(alpha).polygon(flat, fill=255, outline=255)
        ImageDraw.Draw(mask).polygon(flat, fill=0, outline=0)


def _rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)


def _fence(size: Size, _face: Face, rng: Rng) -> list[Points]:
    w, h = size
    step, phase = w * rng.uniform(0.18, 0.32), rng.uniform(0, w)
    lefts = [(phase + k * step) % (8 * step) - step for k in range(8)]
    return [_rectangle(left, -2, left + 0.15 * step, h + 2) for left in lefts]


def _below(size: Size, face: Face, rng: Rng) -> float:
    """Height of something that reaches up from the lower edge, at most to the chin."""
    return max(size[1] * float(rng.uniform(0.7, 0.95)), face[1] + 0.95 * face[2])


def _grass(size: Size, face: Face, rng: Rng) -> list[Points]:
    w, h = size
    top, blade = _below(size, face, rng), w / 22
    shapes = []
    for left in np.arange(-blade, w, blade * 0.8):
        tip = left + rng.uniform(-0.6, 1.6) * blade, top + rng.uniform(0, 0.1) * h
        shapes.append(np.array([(left, h + 2), tip, (left + blade, h + 2)]))
    return shapes


def _edge(size: Size, face: Face, rng: Rng) -> list[Points]:
    """The edge of a table or of a sofa."""
    w, h = size
    top = _below(size, face, rng)
    return [
        np.array(
            [(-2, top), (w + 2, top + rng.uniform(-0.04, 0.04) * h), (w + 2, h + 2), (-2, h + 2)]
        )
    ]


def _curtain(size: Size, face: Face, rng: Rng) -> list[Points]:
    """A curtain or a door at one side."""
    (w, h), (x, _, r) = size, face
    width = rng.uniform(0.1, 0.35) * w
    left = rng.random() < 0.5
    edge = min(width, x - 0.7 * r) if left else max(w - width, x + 0.7 * r)
    return [_rectangle(-2, -2, edge, h + 2) if left else _rectangle(edge, -2, w + 2, h + 2)]


def _leaves(size: Size, face: Face, rng: Rng) -> list[Points]:
    x, y, r = face
    shapes = []
    for _ in range(rng.integers(3, 9)):
        around, tilt = rng.uniform(0, 2 * np.pi, 2)
        length, away = rng.uniform(0.09, 0.17) * min(size), r * rng.uniform(1.05, 1.9)
        t = np.linspace(0, 2 * np.pi, 14)
        leaf = np.stack([np.cos(t), 0.42 * np.sin(t) * np.abs(np.sin(t / 2))], axis=1) * length
        turn = np.array([(np.cos(tilt), np.sin(tilt)), (-np.sin(tilt), np.cos(tilt))])
        shapes.append(leaf @ turn + (x + away * np.cos(around), y + away * np.sin(around)))
    return shapes
