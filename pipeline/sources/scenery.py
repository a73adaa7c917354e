"""Rooms, gardens and studios to stand in, and the things that stand in the way."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.sources.coat import Color, jitter, mix

Rng = np.random.Generator
Size = tuple[int, int]
Points = NDArray[np.float64]
Face = tuple[float, float, float]

GREY: Color = (150, 148, 146)
WALLS: tuple[Color, ...] = (
    (214, 196, 168), (150, 176, 186), (188, 150, 140), (124, 138, 116), (200, 204, 208),
    (104, 112, 134), (222, 206, 140), (150, 122, 148), (92, 78, 74), (176, 120, 84),
)  # fmt: skip
GREENS: tuple[Color, ...] = (
    (112, 146, 76), (84, 120, 72), (150, 158, 86), (186, 168, 112), (140, 150, 140), (226, 230, 234),
)  # fmt: skip
SKIES: tuple[Color, ...] = (
    (150, 196, 226), (200, 216, 224), (236, 190, 150), (110, 140, 186), (176, 166, 190), (70, 84, 120),
)  # fmt: skip


def _pick(colors: tuple[Color, ...], rng: Rng, *, amount: int = 18) -> Color:
    return jitter(colors[rng.integers(len(colors))], rng, amount=amount)


def _any(rng: Rng) -> Color:
    r, g, b = rng.integers(36, 232, 3)
    return int(r), int(g), int(b)


def _gradient(size: Size, top: Color, bottom: Color) -> Image.Image:
    ends = np.array([[top], [bottom]], dtype=np.uint8)
    column = Image.fromarray(ends).resize((1, size[1]), Image.Resampling.BILINEAR)
    return column.resize(size, Image.Resampling.NEAREST)


def background(size: Size, rng: Rng) -> Image.Image:
    """Return a scene without an animal."""
    kind = rng.choice(3, p=[0.42, 0.4, 0.18])
    return (_room, _garden, _studio)[kind](size, rng)


def _room(size: Size, rng: Rng) -> Image.Image:
    w, h = size
    wall = _pick(WALLS, rng)
    image = _gradient(
        size, mix(wall, (255, 255, 255), rng.uniform(0, 0.25)), mix(wall, (0, 0, 0), 0.12)
    )
    draw = ImageDraw.Draw(image)
    _wallpaper(draw, size, mix(wall, _any(rng), 0.22), rng)
    floor_y = int(h * rng.uniform(0.55, 0.9))
    for _ in range(rng.integers(0, 4)):
        _furniture(draw, size, floor_y, rng)
    floor = _pick(WALLS, rng)
    draw.rectangle((0, floor_y, w, h), fill=floor)
    draw.line((0, floor_y, w, floor_y), fill=mix(floor, (0, 0, 0), 0.4), width=2)
    if rng.random() < 0.5:
        for x in range(-w, 2 * w, max(12, w // 7)):
            draw.line((w / 2 + (x - w / 2) * 0.6, floor_y, x, h), fill=mix(floor, (0, 0, 0), 0.18))
    if rng.random() < 0.35:
        x, half = rng.uniform(0.2, 0.8) * w, rng.uniform(0.3, 0.5) * w
        draw.ellipse((x - half, floor_y + h * 0.03, x + half, h * 1.1), fill=_any(rng))
    return image


def _wallpaper(draw: ImageDraw.ImageDraw, size: Size, color: Color, rng: Rng) -> None:
    w, h = size
    step = int(rng.integers(12, 34))
    kind = rng.integers(4)
    if kind == 0:
        for x in range(0, w, step):
            draw.rectangle((x, 0, x + step // 2, h), fill=color)
    elif kind == 1:
        for k, y in enumerate(range(0, h, step)):
            for x in range((k % 2) * step // 2, w, step):
                draw.ellipse((x, y, x + step // 3, y + step // 3), fill=color)
    elif kind == 2:
        for y in range(0, h, step):
            draw.line((0, y, w, y), fill=color, width=2)


def _furniture(draw: ImageDraw.ImageDraw, size: Size, floor_y: int, rng: Rng) -> None:
    w, h = size
    x, s = rng.uniform(-0.1, 0.9) * w, rng.uniform(0.14, 0.36) * min(w, h)
    color, dark = _any(rng), (58, 48, 44)
    kind = rng.integers(5)
    if kind == 0:  # a window or a picture
        y = rng.uniform(-0.05, 0.3) * h
        draw.rectangle(
            (x, y, x + 1.3 * s, y + s * 1.4), fill=_pick(SKIES, rng), outline=color, width=4
        )
        draw.line((x + 0.65 * s, y, x + 0.65 * s, y + 1.4 * s), fill=color, width=2)
    elif kind == 1:  # a lamp: its shade is no ear, but looks like one
        top = floor_y - rng.uniform(1.5, 2.5) * s
        draw.line((x, top, x, floor_y), fill=dark, width=3)
        shade = [(x - 0.2 * s, top), (x + 0.2 * s, top), (x + 0.5 * s, top + 0.6 * s)]
        draw.polygon([*shade, (x - 0.5 * s, top + 0.6 * s)], fill=color)
    elif kind == 2:  # a sofa
        draw.rounded_rectangle(
            (x, floor_y - s, x + 2.4 * s, floor_y + 4), radius=s * 0.25, fill=color
        )
        draw.line(
            (x + 1.2 * s, floor_y - s, x + 1.2 * s, floor_y), fill=mix(color, dark, 0.5), width=2
        )
    elif kind == 3:  # a plant
        for k in np.linspace(-1, 1, 7):
            draw.polygon(
                [(x - 5, floor_y), (x + 5, floor_y), (x + k * s, floor_y - s * (1.9 - abs(k)))],
                fill=_pick(GREENS, rng),
            )
    else:  # books
        for k in range(6):
            draw.rectangle(
                (
                    x + k * s / 4,
                    floor_y - s * rng.uniform(0.6, 0.9),
                    x + (k + 0.9) * s / 4,
                    floor_y,
                ),
                fill=_any(rng),
            )


def _garden(size: Size, rng: Rng) -> Image.Image:
    w, h = size
    sky = _pick(SKIES, rng)
    image = _gradient(size, sky, mix(sky, (255, 250, 236), 0.5))
    draw = ImageDraw.Draw(image)
    ground_y = int(h * rng.uniform(0.4, 0.8))
    for _ in range(rng.integers(0, 4)):
        x, y, r = rng.uniform(0, w), rng.uniform(0, ground_y), rng.uniform(0.05, 0.16) * w
        draw.ellipse((x - r, y - r * 0.5, x + r, y + r * 0.5), fill=mix(sky, (255, 255, 255), 0.6))
    far = _pick(GREENS, rng)
    for _ in range(rng.integers(0, 3)):
        x, r = rng.uniform(0, w), rng.uniform(0.3, 0.7) * w
        draw.ellipse(
            (x - r, ground_y - r * 0.35, x + r, ground_y + r),
            fill=mix(far, sky, rng.uniform(0.2, 0.6)),
        )
    for _ in range(rng.integers(0, 5)):
        _tree(draw, size, ground_y, rng)
    near = _pick(GREENS, rng)
    draw.rectangle((0, ground_y, w, h), fill=near)
    blades = rng.uniform((0, ground_y), (w, h), (120, 2))
    tones = mix(near, (30, 50, 20), 0.3), mix(near, (250, 250, 200), 0.25)
    for k, (x, y) in enumerate(blades.tolist()):
        draw.line((x, y, x + (k % 5) - 2, y - 5), fill=tones[k % 2])
    for _ in range(rng.integers(0, 14)):
        x, y = rng.uniform(0, w), rng.uniform(ground_y, h)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=_any(rng))
    return image


def _tree(draw: ImageDraw.ImageDraw, size: Size, ground_y: int, rng: Rng) -> None:
    w, h = size
    x, s, color = rng.uniform(0, w), rng.uniform(0.1, 0.25) * h, _pick(GREENS[:4], rng)
    draw.rectangle((x - s * 0.1, ground_y - s, x + s * 0.1, ground_y + 4), fill=(94, 70, 52))
    if rng.random() < 0.5:
        for k in (0.4, 0.9, 1.4):
            draw.polygon(
                [
                    (x - s * 0.6, ground_y - s * k),
                    (x + s * 0.6, ground_y - s * k),
                    (x, ground_y - s * (k + 1)),
                ],
                fill=color,
            )
    else:
        draw.ellipse((x - s * 0.7, ground_y - s * 2, x + s * 0.7, ground_y - s * 0.6), fill=color)


def _studio(size: Size, rng: Rng) -> Image.Image:
    w, h = size
    image = _gradient(size, mix(_any(rng), GREY, 0.35), mix(_any(rng), GREY, 0.35))
    draw = ImageDraw.Draw(image)
    glow = mix(_any(rng), (255, 255, 255), 0.3)
    for _ in range(rng.integers(0, 16)):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.03, 0.12) * w
        under = image.getpixel((min(int(x), w - 1), min(int(y), h - 1)))
        if isinstance(under, tuple):
            draw.ellipse(
                (x - r, y - r, x + r, y + r), fill=mix((under[0], under[1], under[2]), glow, 0.35)
            )
    return image


def obstruct(
    image: Image.Image,
    alpha: Image.Image,
    mask: Image.Image,
    *,
    face: tuple[float, float, float],
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
    color = _pick(GREENS, rng) if hide in (_grass, _leaves) else _any(rng)
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
