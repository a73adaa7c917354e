"""A cat's head from the front and from the side; one unit is its radius."""

from pipeline.sources.canvas import Canvas, path, smooth, symmetric
from pipeline.sources.coat import WHITE, mix
from pipeline.sources.heads import PUPIL, SIDES, dot, forehead_marks, mirror


def cat_front(c: Canvas) -> None:
    """Paint a cat's face: upright pointed ears, slit eyes, a short muzzle, whiskers."""
    rng = c.rng
    turn, nod = rng.uniform(-0.2, 0.2), rng.uniform(-0.06, 0.08)
    cheek, spread = rng.uniform(0.94, 1.12), rng.uniform(-0.12, 0.12)
    height = rng.uniform(0.92, 1.25)
    for side in SIDES:
        _cat_ear(c, side=side, spread=spread, height=height)
    skull = (
        (0, -0.82),
        (0.5, -0.74),
        (0.88, -0.3),
        (cheek, 0.2),
        (0.74, 0.62),
        (0.32, 0.86),
        (0, 0.9),
    )
    c.fur(symmetric(*skull), volume=0.14)
    forehead_marks(c, turn)
    c = c.placed(turn, nod)
    _cat_eyes(c)
    _cat_muzzle(c)


def _cat_ear(c: Canvas, *, side: int, spread: float, height: float) -> None:
    tip = 0.78 + spread, -0.52 - height
    outer = smooth(
        (0.2, -0.7), (0.46, -0.78 - 0.5 * height), tip, (0.98, -0.62), (0.94, -0.16), (0.4, -0.3)
    )
    inner = smooth(
        (0.42, -0.74), (0.58, -0.72 - 0.42 * height), (tip[0], tip[1] + 0.2), (0.86, -0.5)
    )
    c.fur(mirror(outer, side))
    c.fill(mirror(inner, side), c.coat.ear)


def _cat_eyes(c: Canvas) -> None:
    slit, open_ = float(c.rng.uniform(0.035, 0.085)), float(c.rng.uniform(0.15, 0.21))
    asleep = c.rng.random() < 0.06
    for side in SIDES:
        x, y = side * 0.42, -0.06
        if asleep:
            c.line(path((x - 0.22, y), (x, y + 0.1), (x + 0.22, y)), c.coat.line, width=0.06)
            continue
        rim = smooth(
            (-0.27, 0.1),
            (-0.08, -open_),
            (0.16, -open_),
            (0.29, -0.1),
            (0.14, open_),
            (-0.1, open_),
        )
        eye = c.placed(x, y)
        eye.fill(mirror(rim * 1.16, side), c.coat.line)
        eye.fill(mirror(rim, side), mix(c.coat.iris, (232, 226, 120), 0.25))
        dot(eye, 0, 0, slit, open_ * 0.98, PUPIL)
        dot(eye, -0.08, -0.08, 0.05, 0.05, WHITE)


def _cat_muzzle(c: Canvas) -> None:
    coat = c.coat
    dot(c, 0, 0.66, 0.2, 0.15, coat.pale)
    for side in SIDES:
        dot(c, side * 0.2, 0.46, 0.27, 0.2, coat.pale)
    for side in SIDES:
        mouth = path((0, 0.38), (0.03, 0.5), (0.17, 0.58), (0.3, 0.52))
        c.line(mirror(mouth, side), coat.line, width=0.045)
    c.fill(smooth((-0.14, 0.24), (0.14, 0.24), (0.04, 0.37), (-0.04, 0.37)), coat.nose)
    _whiskers(c)


def _whiskers(c: Canvas) -> None:
    dark = sum(c.coat.pale) > 560
    color = mix(c.coat.line, WHITE, 0.15) if dark else WHITE
    droop, length = float(c.rng.uniform(-0.08, 0.14)), float(c.rng.uniform(1.15, 1.45))
    for side in SIDES:
        for k in (-1, 0, 1):
            hair = path(
                (0.32, 0.46 + 0.06 * k), (0.75, 0.42 + 0.13 * k), (length, 0.44 + droop + 0.22 * k)
            )
            c.line(mirror(hair, side), color, width=0.028)


def cat_profile(c: Canvas) -> None:
    """Paint a cat's head that looks to the right: a round skull with a small muzzle."""
    coat, tall = c.coat, float(c.rng.uniform(0.9, 1.2))
    c.fur(
        smooth((0.0, -0.7), (0.3, -0.66 - 0.5 * tall), (0.5, -0.5 - tall), (0.66, -0.5)), far=True
    )
    head = ((-0.2, -0.86), (0.4, -0.78), (0.72, -0.34), (0.98, 0.0), (1.1, 0.24), (0.98, 0.5))
    c.fur(
        smooth(*head, (0.6, 0.78), (0.0, 0.9), (-0.66, 0.66), (-0.94, 0.0), (-0.72, -0.6)),
        volume=0.14,
    )
    forehead_marks(c.placed(0.1, 0.0), 0.1)
    c.fur(
        smooth(
            (-0.74, -0.44),
            (-0.66, -0.6 - 0.5 * tall),
            (-0.42, -0.56 - tall),
            (-0.1, -0.76),
            (-0.3, -0.36),
        )
    )
    c.fill(
        smooth((-0.56, -0.58), (-0.54, -0.6 - 0.4 * tall), (-0.42, -0.36 - tall), (-0.22, -0.72)),
        coat.ear,
    )
    dot(c, 0.78, 0.38, 0.3, 0.25, coat.pale)
    eye = c.placed(0.42, -0.08)
    rim = smooth((-0.2, 0.06), (0.0, -0.19), (0.2, -0.08), (0.12, 0.16), (-0.06, 0.17))
    eye.fill(rim * 1.2, coat.line)
    eye.fill(rim, mix(coat.iris, (232, 226, 120), 0.25))
    dot(eye, 0.05, -0.01, 0.05, 0.16, PUPIL)
    c.fill(smooth((0.94, 0.1), (1.1, 0.12), (1.08, 0.26), (0.98, 0.24)), coat.nose)
    c.line(path((1.02, 0.3), (0.92, 0.46), (0.7, 0.5)), coat.line, width=0.045)
    color = mix(coat.line, WHITE, 0.15) if sum(coat.pale) > 560 else WHITE
    for k in (-1, 0, 1):
        c.line(
            path((0.78, 0.4 + 0.05 * k), (0.4, 0.44 + 0.14 * k), (0.0, 0.56 + 0.24 * k)),
            color,
            width=0.028,
        )
