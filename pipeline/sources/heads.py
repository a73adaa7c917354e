"""Heads of cats and dogs, from the front and from the side; one unit is the radius of the head."""

import math

from pipeline.sources.canvas import Canvas, Points, ellipse, path, smooth, symmetric
from pipeline.sources.coat import WHITE, Color, mix

PUPIL: Color = (24, 20, 24)
TONGUE: Color = (226, 112, 120)
SIDES = (-1, 1)


def _mirror(points: Points, side: int) -> Points:
    return points * (side, 1)


def _dot(c: Canvas, x: float, y: float, rx: float, ry: float, color: Color) -> None:
    c.fill(ellipse(x, y, rx, ry), color)


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
    _forehead_marks(c, turn)
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
    c.fur(_mirror(outer, side))
    c.fill(_mirror(inner, side), c.coat.ear)


def _forehead_marks(c: Canvas, turn: float) -> None:
    if c.coat.pattern == "stripes":
        for x in (-0.2, 0.0, 0.2):
            top = path((x * 1.2, -0.76), (x + turn * 0.5, -0.38))
            c.line(top, c.coat.marking, width=0.09)
    elif c.coat.pattern == "patches":
        side = float(c.rng.choice(SIDES))
        _dot(c, side * 0.42 + turn, -0.12, 0.33, 0.36, c.coat.marking)
    elif c.coat.pattern == "white belly":
        blaze = (0, -0.6), (0.08, -0.3), (0.2, 0.2), (0, 0.4)
        c.placed(turn * 0.9, 0).fill(symmetric(*blaze), c.coat.pale)


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
        eye.fill(_mirror(rim * 1.16, side), c.coat.line)
        eye.fill(_mirror(rim, side), mix(c.coat.iris, (232, 226, 120), 0.25))
        _dot(eye, 0, 0, slit, open_ * 0.98, PUPIL)
        _dot(eye, -0.08, -0.08, 0.05, 0.05, WHITE)


def _cat_muzzle(c: Canvas) -> None:
    coat = c.coat
    _dot(c, 0, 0.66, 0.2, 0.15, coat.pale)
    for side in SIDES:
        _dot(c, side * 0.2, 0.46, 0.27, 0.2, coat.pale)
    for side in SIDES:
        mouth = path((0, 0.38), (0.03, 0.5), (0.17, 0.58), (0.3, 0.52))
        c.line(_mirror(mouth, side), coat.line, width=0.045)
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
            c.line(_mirror(hair, side), color, width=0.028)


def dog_front(c: Canvas) -> None:
    """Paint a dog's face: hanging or folded ears, round eyes, a long muzzle with a large nose."""
    rng = c.rng
    turn, nod = rng.uniform(-0.18, 0.18), rng.uniform(-0.06, 0.08)
    ears = ("hanging", "hanging", "folded", "folded", "long", "rounded")[rng.integers(6)]
    if ears in ("rounded", "folded"):
        _dog_ears(c, ears)
    jaw = rng.uniform(0.5, 0.66)
    skull = (0, -0.86), (0.46, -0.8), (0.8, -0.4), (0.84, 0.12), (jaw, 0.66), (0.3, 0.98), (0, 1.04)
    c.fur(symmetric(*skull), volume=0.14)
    _forehead_marks(c, turn)
    if ears in ("hanging", "long"):
        _dog_ears(c, ears)
    face = c.placed(turn, nod)
    _dog_eyes(face)
    _dog_muzzle(c.placed(turn * 1.35, nod * 1.3), width=float(rng.uniform(0.42, 0.54)))


def _dog_ears(c: Canvas, kind: str) -> None:
    sway = float(c.rng.uniform(-0.12, 0.12))
    for side in SIDES:
        if kind == "rounded":
            out = smooth(
                (0.3, -0.7), (0.42, -1.3), (0.84 + sway, -1.42), (1.16, -1.1), (0.92, -0.3)
            )
            c.fur(_mirror(out, side))
            inner = smooth(
                (0.52, -0.76), (0.62, -1.14), (0.86 + sway, -1.2), (1.0, -0.98), (0.84, -0.5)
            )
            c.fill(_mirror(inner, side), c.coat.ear)
        elif kind == "folded":
            base = smooth((0.22, -0.76), (0.5, -1.12), (0.86, -1.1), (1.0, -0.7), (0.86, -0.3))
            flap = smooth(
                (0.42, -1.04),
                (0.8, -1.14),
                (1.14 + sway, -0.84),
                (1.22 + sway, -0.36),
                (0.86, -0.66),
            )
            c.fur(_mirror(base, side))
            c.fur(_mirror(flap, side), far=True)
        else:
            low = 0.62 if kind == "hanging" else 1.15
            drop = (1.24 + sway, 0.42 * low), (1.12 + sway, low), (0.84, low * 0.82), (0.8, 0.0)
            flap = smooth((0.36, -0.78), (0.74, -0.84), (1.1, -0.4), *drop, (0.68, -0.42))
            c.fur(_mirror(flap, side), far=True)


def _dog_eyes(c: Canvas) -> None:
    size = float(c.rng.uniform(0.14, 0.18))
    brows = c.rng.random() < 0.4
    for side in SIDES:
        eye = c.placed(side * 0.36, -0.16)
        if brows:
            _dot(eye, side * 0.02, -0.26, 0.13, 0.08, c.coat.pale)
        _dot(eye, 0, 0, size * 1.25, size * 1.2, c.coat.line)
        _dot(eye, 0, 0, size, size, c.coat.iris)
        _dot(eye, 0, 0.01, size * 0.66, size * 0.66, PUPIL)
        _dot(eye, -0.05, -0.06, 0.05, 0.05, WHITE)


def _dog_muzzle(c: Canvas, *, width: float) -> None:
    coat, rng = c.coat, c.rng
    if rng.random() < 0.5:
        tip = float(rng.uniform(1.25, 1.55))
        tongue = symmetric((0, 0.85), (0.17, 0.9), (0.19, tip - 0.14), (0, tip))
        c.fill(tongue, TONGUE)
        c.line(path((0, 0.95), (0, tip - 0.2)), mix(TONGUE, coat.line, 0.35), width=0.03)
    bridge = (0, 0.0), (0.2, 0.04), (width, 0.46), (width * 0.92, 0.82), (0.2, 0.98), (0, 0.96)
    muzzle = symmetric(*bridge)
    c.fill(muzzle, coat.pale)
    c.line(muzzle, mix(coat.pale, coat.line, 0.45))
    for side in SIDES:
        jowl = path((0, 0.5), (0.02, 0.74), (0.2, 0.86), (width * 0.86, 0.7))
        c.line(_mirror(jowl, side), coat.line, width=0.05)
    nose = symmetric((0, 0.16), (0.18, 0.16), (0.27, 0.28), (0.15, 0.46), (0, 0.52))
    c.fill(nose, coat.nose)
    _dot(c, -0.06, 0.24, 0.09, 0.04, mix(coat.nose, WHITE, 0.5))


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
    _forehead_marks(c.placed(0.1, 0.0), 0.1)
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
    _dot(c, 0.78, 0.38, 0.3, 0.25, coat.pale)
    eye = c.placed(0.42, -0.08)
    rim = smooth((-0.2, 0.06), (0.0, -0.19), (0.2, -0.08), (0.12, 0.16), (-0.06, 0.17))
    eye.fill(rim * 1.2, coat.line)
    eye.fill(rim, mix(coat.iris, (232, 226, 120), 0.25))
    _dot(eye, 0.05, -0.01, 0.05, 0.16, PUPIL)
    c.fill(smooth((0.94, 0.1), (1.1, 0.12), (1.08, 0.26), (0.98, 0.24)), coat.nose)
    c.line(path((1.02, 0.3), (0.92, 0.46), (0.7, 0.5)), coat.line, width=0.045)
    color = mix(coat.line, WHITE, 0.15) if sum(coat.pale) > 560 else WHITE
    for k in (-1, 0, 1):
        c.line(
            path((0.78, 0.4 + 0.05 * k), (0.4, 0.44 + 0.14 * k), (0.0, 0.56 + 0.24 * k)),
            color,
            width=0.028,
        )


def dog_profile(c: Canvas) -> None:
    """Paint a dog's head that looks to the right: a long snout that ends in a large nose."""
    coat, rng = c.coat, c.rng
    long = float(rng.uniform(1.5, 1.85))
    tip = (long - 0.1, 0.04), (long, 0.24), (long - 0.16, 0.5)
    if rng.random() < 0.5:
        hang = float(rng.uniform(0.85, 1.2))
        c.fill(
            smooth((0.85, 0.5), (1.2, 0.5), (1.24, hang - 0.1), (1.08, hang), (0.94, hang - 0.12)),
            TONGUE,
        )
    pricked = rng.random() < 0.35
    if pricked:
        c.fur(
            smooth((-0.2, -0.6), (-0.3, -1.2), (0.02, -1.36), (0.24, -1.1), (0.2, -0.6)), far=True
        )
    skull = (-0.3, -0.88), (0.3, -0.74), (0.62, -0.22)
    jaw = (0.7, 0.62), (0.2, 0.8), (-0.6, 0.72), (-0.96, 0.0), (-0.8, -0.6)
    c.fur(smooth(*skull, (1.0, -0.06), *tip, *jaw), volume=0.14)
    c.fill(smooth((0.8, 0.16), (1.2, 0.02), *tip, (1.0, 0.58), (0.78, 0.44)), coat.pale)
    c.line(path((long - 0.1, 0.36), (1.2, 0.46), (0.72, 0.4)), coat.line, width=0.05)
    _dot(c, long - 0.06, 0.06, 0.2, 0.17, coat.nose)
    _dot(c, long - 0.1, 0.0, 0.07, 0.04, mix(coat.nose, WHITE, 0.5))
    eye = c.placed(0.34, -0.26)
    _dot(eye, 0, 0, 0.2, 0.19, coat.line)
    _dot(eye, 0, 0, 0.16, 0.16, coat.iris)
    _dot(eye, 0.02, 0, 0.1, 0.1, PUPIL)
    _dot(eye, 0.0, -0.05, 0.045, 0.045, WHITE)
    low = float(rng.uniform(0.6, 0.95))
    if pricked:
        flap = smooth((-0.66, -0.5), (-0.74, -1.2), (-0.4, -1.4), (-0.12, -1.1), (-0.14, -0.6))
    else:
        flap = smooth(
            (-0.46, -0.72), (-0.1, -0.66), (0.0, 0.0), (-0.2, low), (-0.56, low), (-0.7, 0.0)
        )
    c.fur(flap, far=not pricked)


def nodding(c: Canvas, *, degrees: float) -> Canvas:
    """Return the canvas with the head tilted by up to `degrees` either way."""
    return c.placed(0, 0, tilt=math.radians(float(c.rng.uniform(-degrees, degrees))))
