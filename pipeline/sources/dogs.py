"""A dog's head from the front and from the side; one unit is its radius."""

from pipeline.sources.canvas import Canvas, path, smooth, symmetric
from pipeline.sources.coat import WHITE, Color, mix
from pipeline.sources.heads import PUPIL, SIDES, dot, forehead_marks, mirror

TONGUE: Color = (226, 112, 120)
DOG_EARS = ("hanging", "folded", "long", "rounded")


def dog_front(c: Canvas) -> None:
    """Paint a dog's face: hanging or folded ears, round eyes, a long muzzle with a large nose."""
    rng = c.rng
    turn, nod = rng.uniform(-0.18, 0.18), rng.uniform(-0.06, 0.08)
    ears = DOG_EARS[rng.choice(len(DOG_EARS), p=(0.42, 0.3, 0.2, 0.08))]
    if ears in ("rounded", "folded"):
        _dog_ears(c, ears)
    jaw = rng.uniform(0.5, 0.66)
    skull = (0, -0.86), (0.46, -0.8), (0.8, -0.4), (0.84, 0.12), (jaw, 0.66), (0.3, 0.98), (0, 1.04)
    c.fur(symmetric(*skull), volume=0.14)
    forehead_marks(c, turn)
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
                (0.3, -0.7), (0.44, -1.14), (0.86 + sway, -1.26), (1.14, -0.98), (0.92, -0.3)
            )
            c.fur(mirror(out, side))
            inner = smooth(
                (0.52, -0.76), (0.62, -1.02), (0.86 + sway, -1.08), (0.98, -0.9), (0.84, -0.5)
            )
            c.fill(mirror(inner, side), mix(c.coat.ear, c.coat.line, 0.25))
        elif kind == "folded":
            base = smooth((0.22, -0.76), (0.5, -1.12), (0.86, -1.1), (1.0, -0.7), (0.86, -0.3))
            flap = smooth(
                (0.42, -1.04),
                (0.8, -1.14),
                (1.14 + sway, -0.84),
                (1.22 + sway, -0.36),
                (0.86, -0.66),
            )
            c.fur(mirror(base, side))
            c.fur(mirror(flap, side), far=True)
        else:
            low = 0.62 if kind == "hanging" else 1.15
            drop = (1.24 + sway, 0.42 * low), (1.12 + sway, low), (0.84, low * 0.82), (0.8, 0.0)
            flap = smooth((0.36, -0.78), (0.74, -0.84), (1.1, -0.4), *drop, (0.68, -0.42))
            c.fur(mirror(flap, side), far=True)


def _dog_eyes(c: Canvas) -> None:
    size = float(c.rng.uniform(0.14, 0.18))
    brows = c.rng.random() < 0.4
    for side in SIDES:
        eye = c.placed(side * 0.36, -0.16)
        if brows:
            dot(eye, side * 0.02, -0.26, 0.13, 0.08, c.coat.pale)
        dot(eye, 0, 0, size * 1.25, size * 1.2, c.coat.line)
        dot(eye, 0, 0, size, size, c.coat.iris)
        dot(eye, 0, 0.01, size * 0.66, size * 0.66, PUPIL)
        dot(eye, -0.05, -0.06, 0.05, 0.05, WHITE)


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
        c.line(mirror(jowl, side), coat.line, width=0.05)
    nose = symmetric((0, 0.16), (0.18, 0.16), (0.27, 0.28), (0.15, 0.46), (0, 0.52))
    c.fill(nose, coat.nose)
    dot(c, -0.06, 0.24, 0.09, 0.04, mix(coat.nose, WHITE, 0.5))


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
    pricked = rng.random() < 0.2
    if pricked:
        c.fur(
            smooth((-0.2, -0.6), (-0.3, -1.2), (0.02, -1.36), (0.24, -1.1), (0.2, -0.6)), far=True
        )
    skull = (-0.3, -0.88), (0.3, -0.74), (0.62, -0.22)
    jaw = (0.7, 0.62), (0.2, 0.8), (-0.6, 0.72), (-0.96, 0.0), (-0.8, -0.6)
    c.fur(smooth(*skull, (1.0, -0.06), *tip, *jaw), volume=0.14)
    c.fill(smooth((0.8, 0.16), (1.2, 0.02), *tip, (1.0, 0.58), (0.78, 0.44)), coat.pale)
    c.line(path((long - 0.1, 0.36), (1.2, 0.46), (0.72, 0.4)), coat.line, width=0.05)
    dot(c, long - 0.06, 0.06, 0.2, 0.17, coat.nose)
    dot(c, long - 0.1, 0.0, 0.07, 0.04, mix(coat.nose, WHITE, 0.5))
    eye = c.placed(0.34, -0.26)
    dot(eye, 0, 0, 0.2, 0.19, coat.line)
    dot(eye, 0, 0, 0.16, 0.16, coat.iris)
    dot(eye, 0.02, 0, 0.1, 0.1, PUPIL)
    dot(eye, 0.0, -0.05, 0.045, 0.045, WHITE)
    low = float(rng.uniform(0.6, 0.95))
    if pricked:
        flap = smooth((-0.66, -0.5), (-0.74, -1.2), (-0.4, -1.4), (-0.12, -1.1), (-0.14, -0.6))
    else:
        flap = smooth(
            (-0.46, -0.72), (-0.1, -0.66), (0.0, 0.0), (-0.2, low), (-0.56, low), (-0.7, 0.0)
        )
    c.fur(flap, far=not pricked)
