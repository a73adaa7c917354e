"""Whole animals in four poses, with the head around the origin; one unit is its radius."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.sources.canvas import Canvas, ellipse, path, ribbon, smooth, symmetric
from pipeline.sources.cats import cat_front, cat_profile
from pipeline.sources.dogs import dog_front, dog_profile
from pipeline.sources.heads import SIDES


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """A way to stand before the painter, and the room that it takes."""

    name: str
    paint: Callable[[Canvas, str], None]
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of what should be in view, in units."""
    fill: tuple[float, float]
    """How much of the picture's tighter side that box takes, from and to."""
    shadow: tuple[float, float, float, float] | None = None
    """Centre and radii of the shadow on the ground."""


def _nodding(c: Canvas, *, degrees: float) -> Canvas:
    """Return the canvas with the head tilted by up to `degrees` either way."""
    return c.placed(0, 0, tilt=math.radians(float(c.rng.uniform(-degrees, degrees))))


def _head(c: Canvas, species: str, *, degrees: float) -> None:
    c = _nodding(c, degrees=degrees)
    if species == "cat":
        cat_front(c)
    else:
        dog_front(c)


def _collar(c: Canvas, x: float, y: float, *, half: float, tilt: float = 0.0) -> None:
    if c.coat.collar is None:
        return
    at = c.placed(x, y, tilt=tilt)
    band = ribbon([(-half, -0.12), (0, 0.1), (half, -0.12)], start=0.24, end=0.24)
    at.fill(band, c.coat.collar)
    if c.rng.random() < 0.6:
        at.fill(ellipse(0, 0.28, 0.14, 0.14), (232, 196, 84))


def _leg(c: Canvas, *points: tuple[float, float], width: float, far: bool = False) -> None:
    c.fur(ribbon(points, start=width * 1.25, end=width), far=far)
    x, y = points[-1]
    c.fur(ellipse(x + 0.07, y, width * 0.66, width * 0.4), far=far)
    if not far and c.coat.pattern in ("white belly", "points"):
        shade = c.coat.pale if c.coat.pattern == "white belly" else c.coat.marking
        c.fill(ellipse(x + 0.07, y, width * 0.6, width * 0.34), shade)


def _tail(c: Canvas, x: float, y: float) -> None:
    """Paint a tail that leaves the body to the left at (x, y)."""
    up = float(c.rng.uniform(-0.5, 1.0))
    at = c.placed(x, y)
    at.fur(
        ribbon(
            [
                (0.25, 0.1),
                (-0.5, 0.0),
                (-1.1, -0.3 - 0.6 * up),
                (-1.25, -0.8 - up),
                (-0.9, -1.2 - up),
            ],
            start=0.34,
            end=0.22,
        )
    )


def _dog_tail(c: Canvas, x: float, y: float) -> None:
    at, wag = c.placed(x, y), float(c.rng.uniform(-0.3, 0.5))
    at.fur(ribbon([(0.3, 0.15), (-0.35, -0.2 - wag), (-0.7, -0.75 - wag)], start=0.56, end=0.26))


def _tail_of(c: Canvas, species: str, x: float, y: float) -> None:
    (_tail if species == "cat" else _dog_tail)(c, x, y)


def portrait(c: Canvas, species: str) -> None:
    """Paint head and shoulders."""
    wide = float(c.rng.uniform(1.1, 1.5))
    c.fur(symmetric((0, 0.4), (0.6, 0.6), (wide, 1.5), (wide + 0.4, 3.4), (0, 7.0)), volume=0.2)
    c.fill(symmetric((0, 0.7), (0.42, 0.9), (0.5, 1.6), (0, 2.3)), c.coat.pale)
    _collar(c, 0, 1.06, half=0.72)
    _head(c, species, degrees=14)


def sitting(c: Canvas, species: str) -> None:
    """Paint the animal sitting and facing us."""
    width = 0.36 if species == "cat" else 0.44
    side = int(c.rng.choice(SIDES))
    _tail_of(c.mirrored() if side < 0 else c, species, -0.9, 2.75)
    hips = float(c.rng.uniform(1.0, 1.25))
    c.fur(
        symmetric((0, 0.4), (0.55, 0.7), (0.8, 1.5), (hips, 2.4), (0.95, 3.0), (0, 3.12)),
        volume=0.2,
    )
    c.fill(symmetric((0, 0.7), (0.36, 0.95), (0.42, 1.5), (0, 2.1)), c.coat.pale)
    for s in SIDES:
        c.fur(ellipse(s * 0.86, 2.62, 0.44, 0.55))
        _leg(c, (s * 0.34, 1.5), (s * 0.4, 2.2), (s * 0.36, 3.02), width=width)
    _collar(c, 0, 1.0, half=0.62)
    _head(c, species, degrees=16)


def standing(c: Canvas, species: str) -> None:
    """Paint the animal from the side, on its four legs, looking to the right or at us."""
    rng = c.rng
    width = 0.34 if species == "cat" else 0.44
    back, step = float(rng.uniform(2.5, 3.3)), float(rng.uniform(-0.3, 0.3))
    _tail_of(c, species, -back, 1.0)
    for x in (-back + 0.55, -0.55):
        _leg(c, (x, 1.6), (x - step, 2.3), (x - step * 1.6, 3.0), width=width, far=True)
    belly = 1.75 if species == "cat" else 1.9
    torso = (-0.35, 0.3), (-1.0, 0.62), (-back * 0.6, 0.68), (-back, 0.85), (-back - 0.2, 1.5)
    c.fur(
        smooth(
            *torso, (-back + 0.3, 2.0), (-back * 0.5, belly), (-0.5, 2.0), (0.2, 1.4), (0.35, 0.6)
        ),
        volume=0.2,
    )
    for x in (-back + 0.2, -0.2):
        _leg(c, (x, 1.55), (x + step, 2.3), (x + step * 1.6, 3.1), width=width)
    if rng.random() < 0.5:
        _collar(c, 0, 0.94, half=0.58)
        _head(c, species, degrees=10)
    else:
        _collar(c, -0.1, 0.84, half=0.6, tilt=-0.3)
        (cat_profile if species == "cat" else dog_profile)(_nodding(c, degrees=12))


def lying(c: Canvas, species: str) -> None:
    """Paint the animal lying on its belly with its paws before it."""
    rng = c.rng
    back = float(rng.uniform(2.2, 3.0))
    low = 1.5
    _tail_of(c, species, -back, low - 0.3)
    body = (-0.2, 0.2), (-1.0, 0.35), (-back + 0.4, 0.4), (-back - 0.1, 1.0), (-back, low + 0.2)
    c.fur(smooth(*body, (-1.0, low + 0.3), (0.3, low + 0.25), (0.75, 1.1), (0.5, 0.4)), volume=0.2)
    c.fur(ellipse(-back + 0.6, low - 0.25, 0.68, 0.55))
    c.line(path((-back + 0.1, low + 0.24), (-back + 1.2, low + 0.26)), c.coat.line)
    width = 0.34 if species == "cat" else 0.42
    for x, far in ((0.55, True), (0.0, False)):
        _leg(
            c,
            (x - 0.2, low - 0.1),
            (x + 0.3, low + 0.18),
            (x + 0.85, low + 0.2),
            width=width,
            far=far,
        )
    _collar(c, 0, 0.98, half=0.6)
    _head(c, species, degrees=12)


POSES = (
    Pose(name="portrait", paint=portrait, box=(-1.3, -1.6, 1.3, 1.6), fill=(0.75, 1.1)),
    Pose(
        name="sitting",
        paint=sitting,
        box=(-1.5, -1.6, 1.5, 3.3),
        fill=(0.85, 1.1),
        shadow=(0.0, 3.1, 1.5, 0.28),
    ),
    Pose(
        name="standing",
        paint=standing,
        box=(-3.4, -1.5, 1.5, 3.3),
        fill=(0.86, 1.12),
        shadow=(-1.5, 3.15, 2.0, 0.26),
    ),
    Pose(
        name="lying",
        paint=lying,
        box=(-3.0, -1.5, 1.3, 1.9),
        fill=(0.86, 1.12),
        shadow=(-0.9, 1.75, 2.4, 0.26),
    ),
)
