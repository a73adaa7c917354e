"""Rooms, gardens and studios for the animals to be in."""

import numpy as np
from PIL import Image, ImageDraw

from pipeline.sources.coat import GREENS, Color, any_color, mix, pick

Rng = np.random.Generator
Draw = ImageDraw.ImageDraw
Size = tuple[int, int]

GREY: Color = (150, 148, 146)
BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)
WOOD: Color = (94, 70, 52)
WALLS: tuple[Color, ...] = (
    (214, 196, 168), (150, 176, 186), (188, 150, 140), (124, 138, 116), (200, 204, 208),
    (104, 112, 134), (222, 206, 140), (150, 122, 148), (92, 78, 74), (176, 120, 84),
)  # fmt: skip
SKIES: tuple[Color, ...] = (
    (150, 196, 226), (200, 216, 224), (236, 190, 150), (110, 140, 186), (176, 166, 190),
    (70, 84, 120),
)  # fmt: skip


def background(size: Size, rng: Rng) -> Image.Image:
    """Return a scene without an animal."""
    kind = rng.choice(3, p=[0.42, 0.4, 0.18])
    return (_room, _garden, _studio)[kind](size, rng)


def _gradient(size: Size, top: Color, bottom: Color) -> Image.Image:
    ends = np.array([[top], [bottom]], dtype=np.uint8)
    column = Image.fromarray(ends).resize((1, size[1]), Image.Resampling.BILINEAR)
    return column.resize(size, Image.Resampling.NEAREST)


def _disc(draw: Draw, x: float, y: float, rx: float, ry: float, color: Color) -> None:
    draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=color)


def _room(size: Size, rng: Rng) -> Image.Image:
    w, h = size
    wall, floor = pick(WALLS, rng), pick(WALLS, rng)
    image = _gradient(size, mix(wall, WHITE, rng.uniform(0, 0.25)), mix(wall, BLACK, 0.12))
    draw = ImageDraw.Draw(image)
    paper = (_striped, _dotted, _panelled, _bare)[rng.integers(4)]
    paper(draw, size, mix(wall, any_color(rng), 0.22), int(rng.integers(12, 34)))
    floor_y = int(h * rng.uniform(0.55, 0.9))
    for _ in range(rng.integers(0, 4)):
        furniture = (_window, _lamp, _sofa, _plant, _books)[rng.integers(5)]
        x, s = rng.uniform(-0.1, 0.9) * w, rng.uniform(0.14, 0.36) * min(w, h)
        furniture(draw, x, floor_y, s, rng)
    draw.rectangle((0, floor_y, w, h), fill=floor)
    draw.line((0, floor_y, w, floor_y), fill=mix(floor, BLACK, 0.4), width=2)
    if rng.random() < 0.5:
        for x in range(-w, 2 * w, max(12, w // 7)):  # floorboards
            draw.line((w * 0.2 + x * 0.6, floor_y, x, h), fill=mix(floor, BLACK, 0.18))
    if rng.random() < 0.35:
        x, rx = rng.uniform(0.2, 0.8) * w, rng.uniform(0.3, 0.5) * w
        _disc(draw, x, floor_y + h * 0.1, rx, h * 0.07, mix(any_color(rng), floor, 0.3))
    return image


def _striped(draw: Draw, size: Size, color: Color, step: int) -> None:
    for x in range(0, size[0], step):
        draw.rectangle((x, 0, x + step // 2, size[1]), fill=color)


def _dotted(draw: Draw, size: Size, color: Color, step: int) -> None:
    for k, y in enumerate(range(0, size[1], step)):
        for x in range((k % 2) * step // 2, size[0], step):
            _disc(draw, x, y, step / 6, step / 6, color)


def _panelled(draw: Draw, size: Size, color: Color, step: int) -> None:
    for y in range(0, size[1], step):
        draw.line((0, y, size[0], y), fill=color, width=2)


def _bare(_draw: Draw, _size: Size, _color: Color, _step: int) -> None:
    return


def _window(draw: Draw, x: float, floor_y: float, s: float, rng: Rng) -> None:
    y, frame = rng.uniform(-0.05, 0.4) * floor_y, mix(any_color(rng), WHITE, 0.4)
    pane = (x, y, x + 1.3 * s, y + 1.4 * s)
    draw.rectangle(pane, fill=pick(SKIES, rng), outline=frame, width=4)
    draw.line((x + 0.65 * s, y, x + 0.65 * s, y + 1.4 * s), fill=frame, width=2)


def _lamp(draw: Draw, x: float, floor_y: float, s: float, rng: Rng) -> None:
    top = floor_y - rng.uniform(1.5, 2.5) * s
    draw.line((x, top, x, floor_y), fill=mix(WOOD, BLACK, 0.4), width=3)
    shade = [(-0.2, 0), (0.2, 0), (0.5, 0.6), (-0.5, 0.6)]
    draw.polygon([(x + dx * s, top + dy * s) for dx, dy in shade], fill=any_color(rng))


def _sofa(draw: Draw, x: float, floor_y: float, s: float, rng: Rng) -> None:
    color = any_color(rng)
    seat = (x, floor_y - s, x + 2.4 * s, floor_y + 4)
    draw.rounded_rectangle(seat, radius=s * 0.25, fill=color)
    middle = x + 1.2 * s
    draw.line((middle, floor_y - s, middle, floor_y), fill=mix(color, BLACK, 0.3), width=2)


def _plant(draw: Draw, x: float, floor_y: float, s: float, rng: Rng) -> None:
    for lean in (-1.0, -0.66, -0.33, 0.0, 0.33, 0.66, 1.0):
        tip = (x + lean * s, floor_y - s * (1.9 - abs(lean)))
        draw.polygon([(x - 5, floor_y), (x + 5, floor_y), tip], fill=pick(GREENS, rng))


def _books(draw: Draw, x: float, floor_y: float, s: float, rng: Rng) -> None:
    for left in (x + k * s / 4 for k in range(6)):
        top = floor_y - s * rng.uniform(0.6, 0.9)
        draw.rectangle((left, top, left + 0.22 * s, floor_y), fill=any_color(rng))


def _garden(size: Size, rng: Rng) -> Image.Image:
    w, h = size
    sky, far, near = pick(SKIES, rng), pick(GREENS, rng), pick(GREENS, rng)
    image = _gradient(size, sky, mix(sky, (255, 250, 236), 0.5))
    draw = ImageDraw.Draw(image)
    ground_y = int(h * rng.uniform(0.4, 0.8))
    for _ in range(rng.integers(0, 4)):  # clouds
        x, y, r = rng.uniform(0, w), rng.uniform(0, ground_y), rng.uniform(0.05, 0.16) * w
        _disc(draw, x, y, r, r / 2, mix(sky, WHITE, 0.6))
    for _ in range(rng.integers(0, 3)):  # hills
        x, r = rng.uniform(0, w), rng.uniform(0.3, 0.7) * w
        _disc(draw, x, ground_y + r * 0.3, r, r * 0.65, mix(far, sky, rng.uniform(0.2, 0.6)))
    for _ in range(rng.integers(0, 5)):
        _tree(draw, rng.uniform(0, w), ground_y, rng.uniform(0.1, 0.25) * h, rng)
    draw.rectangle((0, ground_y, w, h), fill=near)
    _meadow(draw, size, ground_y, near, rng)
    return image


def _meadow(draw: Draw, size: Size, ground_y: int, color: Color, rng: Rng) -> None:
    tones = mix(color, (30, 50, 20), 0.3), mix(color, (250, 250, 200), 0.25)
    for k, (x, y) in enumerate(rng.uniform((0, ground_y), size, (120, 2)).tolist()):
        draw.line((x, y, x + (k % 5) - 2, y - 5), fill=tones[k % 2])
    for x, y in rng.uniform((0, ground_y), size, (rng.integers(0, 14), 2)).tolist():
        _disc(draw, x, y, 2, 2, any_color(rng))


def _tree(draw: Draw, x: float, ground_y: float, s: float, rng: Rng) -> None:
    color = pick(GREENS[:4], rng)
    draw.rectangle((x - s * 0.1, ground_y - s, x + s * 0.1, ground_y + 4), fill=WOOD)
    if rng.random() < 0.5:
        _disc(draw, x, ground_y - s * 1.3, s * 0.7, s * 0.7, color)
        return
    for y in (ground_y - s * k for k in (0.4, 0.9, 1.4)):
        draw.polygon([(x - s * 0.6, y), (x + s * 0.6, y), (x, y - s * 0.6)], fill=color)


def _studio(size: Size, rng: Rng) -> Image.Image:
    w, h = size
    top, bottom = (mix(any_color(rng), GREY, 0.35) for _ in range(2))
    image = _gradient(size, top, bottom)
    draw = ImageDraw.Draw(image)
    glow = mix(any_color(rng), WHITE, 0.3)
    for _ in range(rng.integers(0, 16)):  # lights out of focus
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.03, 0.12) * w
        _disc(draw, x, y, r, r, mix(mix(top, bottom, y / h), glow, 0.35))
    return image
