"""Shapes on a picture: curves in an animal's own units, filled with colour or with fur."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from pipeline.sources.coat import Coat, Color

Points = NDArray[np.float64]
XY = tuple[float, float]
STEPS = 6  # straight pieces per span of a curve; more is not seen at these sizes
SHADOW_STRENGTH, FAR_SHADE = 0.24, 0.28
LINE_WIDTH = 0.035  # of an outline, in the animal's units: one is the radius of its head


@lru_cache(maxsize=64)
def _basis(n: int, *, closed: bool) -> Points:
    """Matrix that turns n control points into points of the Catmull-Rom spline through them."""
    t = np.arange(STEPS) / STEPS
    weights = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    )
    spans = n if closed else n - 1
    basis = np.zeros((spans * STEPS + (not closed), n))
    for span in range(spans):
        for k in range(4):
            index = span + k - 1
            index = index % n if closed else min(max(index, 0), n - 1)
            basis[span * STEPS : (span + 1) * STEPS, index] += weights[k]
    if not closed:
        basis[-1, -1] = 1.0
    return basis


@lru_cache(maxsize=8)
def _circle(n: int = 28) -> Points:
    angles = np.arange(n) * (2 * math.pi / n)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def smooth(*points: XY) -> Points:
    """Return a closed curve through `points`."""
    curve: Points = _basis(len(points), closed=True) @ np.array(points)
    return curve


def path(*points: XY) -> Points:
    """Return an open curve through `points`."""
    curve: Points = _basis(len(points), closed=False) @ np.array(points)
    return curve


def symmetric(*points: XY) -> Points:
    """Return a closed curve through `points`, its right half from the top down, and mirrored."""
    left = [(-x, y) for x, y in reversed(points) if x != 0]
    return smooth(*points, *left)


def ellipse(x: float, y: float, rx: float, ry: float, *, tilt: float = 0.0) -> Points:
    """Return an ellipse around (x, y), turned clockwise by `tilt` radians."""
    outline: Points = _circle() * (rx, ry) @ _turn(tilt).T + (x, y)
    return outline


def ribbon(points: Sequence[XY], *, start: float, end: float) -> Points:
    """Return a band along a curve, `start` wide at its begin and `end` at its round tip."""
    middle = path(*points)
    along = np.gradient(middle, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    normal /= np.maximum(np.hypot(normal[:, 0], normal[:, 1]), 1e-9)[:, None]
    t = np.linspace(0, 1, len(middle))
    half = 0.5 * (start + (end - start) * t) * np.sqrt(1 - np.clip((t - 0.86) / 0.145, 0, 1) ** 2)
    offset = normal * half[:, None]
    return np.concatenate([middle + offset, (middle - offset)[::-1]])


def _turn(angle: float) -> Points:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """A picture being painted, and where the animal is on it.

    Shapes come in the animal's units (y points down, one is the radius of a head); `linear` and
    `offset` bring them to pixels.
    """

    image: Image.Image
    mask: Image.Image
    """L, 255 where something is painted."""
    sheet: Image.Image
    """Fur, as large as the picture; parts are cut out of it."""
    coat: Coat
    linear: Points
    offset: Points
    rng: np.random.Generator

    def placed(self, x: float, y: float, *, tilt: float = 0.0, scale: float = 1.0) -> Self:
        """Return this canvas with its origin moved to (x, y), turned and scaled about it."""
        linear = self.linear @ _turn(tilt) * scale
        return replace(self, linear=linear, offset=self.linear @ np.array([x, y]) + self.offset)

    def mirrored(self) -> Self:
        """Return this canvas with left and right exchanged."""
        return replace(self, linear=self.linear * (-1.0, 1.0))

    def px(self, points: Points) -> Points:
        """Return `points` in pixels."""
        return points @ self.linear.T + self.offset

    @property
    def px_per_unit(self) -> float:
        (a, b), (c, d) = self.linear.tolist()
        return math.sqrt(abs(a * d - b * c))

    def fill(self, points: Points, color: Color) -> None:
        """Paint a part that is not fur."""
        flat = self.px(points).ravel().tolist()
        ImageDraw.Draw(self.image).polygon(flat, fill=color)
        ImageDraw.Draw(self.mask).polygon(flat, fill=255)

    def line(self, points: Points, color: Color, *, width: float = LINE_WIDTH) -> None:
        """Paint a line `width` units wide."""
        px = max(1, round(width * self.px_per_unit))
        flat = self.px(points).ravel().tolist()
        ImageDraw.Draw(self.image).line(flat, fill=color, width=px)
        ImageDraw.Draw(self.mask).line(flat, fill=255, width=px)

    def fur(self, points: Points, *, far: bool = False, volume: float = 0.0) -> None:
        """Paint a furry part with its outline.

        Args:
            points: (P, 2) outline.
            far: the part lies in the shadow of the rest.
            volume: depth in units of the shadow that makes the part look round; 0 is flat.
        """
        xy = self.px(points)
        box = self._box(xy)
        if box is None:
            return
        flat = (xy - box[:2]).ravel().tolist()
        part = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        ImageDraw.Draw(part).polygon(flat, fill=255)
        fur = self.sheet.crop(box)
        if far:
            fur = Image.blend(fur, Image.new("RGB", fur.size, self.coat.line), FAR_SHADE)
        self.image.paste(fur, box, part)
        self.mask.paste(255, box, part)
        if volume:
            shade = _crescent(part, round(volume * self.px_per_unit))
            self.image.paste(self.coat.line, box, shade)
        self.line(np.concatenate([points, points[:1]]), self.coat.line)

    def _box(self, xy: Points) -> tuple[int, int, int, int] | None:
        """Return the part of the picture that holds the pixels `xy`, None if none does."""
        left, top = (max(0, math.floor(v) - 1) for v in xy.min(axis=0).tolist())
        right, bottom = (math.ceil(v) + 2 for v in xy.max(axis=0).tolist())
        right, bottom = min(self.image.width, right), min(self.image.height, bottom)
        return (left, top, right, bottom) if left < right and top < bottom else None


def _crescent(part: Image.Image, depth_px: int) -> Image.Image:
    """Return the shaded rim of a part lit from the upper left."""
    lit = Image.new("L", part.size)
    lit.paste(part, (-depth_px, -depth_px))
    return ImageChops.subtract(part, lit, scale=1 / SHADOW_STRENGTH)
