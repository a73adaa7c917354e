"""What the heads of cats and dogs share; one unit is the radius of a head."""

from pipeline.sources.canvas import Canvas, Points, ellipse, path, symmetric
from pipeline.sources.coat import Color

PUPIL: Color = (24, 20, 24)
SIDES = (-1, 1)


def mirror(points: Points, side: int) -> Points:
    """Return a shape of the right half, or for side -1 its counterpart on the left."""
    return points * (side, 1)


def dot(c: Canvas, x: float, y: float, rx: float, ry: float, color: Color) -> None:
    """Fill an ellipse around (x, y)."""
    c.fill(ellipse(x, y, rx, ry), color)


def forehead_marks(c: Canvas, turn: float) -> None:
    """Paint what the pattern of the coat does to a forehead seen from the front."""
    if c.coat.pattern == "stripes":
        for x in (-0.2, 0.0, 0.2):
            top = path((x * 1.2, -0.76), (x + turn * 0.5, -0.38))
            c.line(top, c.coat.marking, width=0.09)
    elif c.coat.pattern == "patches":
        side = float(c.rng.choice(SIDES))
        dot(c, side * 0.42 + turn, -0.12, 0.33, 0.36, c.coat.marking)
    elif c.coat.pattern == "white belly":
        blaze = (0, -0.6), (0.08, -0.3), (0.2, 0.2), (0, 0.4)
        c.placed(turn * 0.9, 0).fill(symmetric(*blaze), c.coat.pale)
