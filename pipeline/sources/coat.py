"""Coats: the colours and markings of an animal, drawn from one stock for every species."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Color = tuple[int, int, int]

FURS: tuple[tuple[Color, Color], ...] = (  # ground and marking
    ((228, 152, 82), (182, 100, 46)),
    ((158, 160, 168), (98, 100, 112)),
    ((82, 77, 84), (50, 47, 52)),
    ((240, 236, 228), (176, 140, 104)),
    ((238, 212, 170), (202, 152, 100)),
    ((146, 104, 72), (94, 64, 44)),
    ((114, 82, 66), (74, 52, 42)),
    ((208, 168, 126), (142, 102, 68)),
    ((128, 138, 156), (84, 92, 110)),
    ((236, 232, 226), (70, 66, 72)),
    ((196, 124, 78), (240, 232, 220)),
    ((96, 90, 96), (226, 220, 212)),
)
PATTERNS = ("plain", "stripes", "spots", "patches", "points", "white belly")
IRISES: tuple[Color, ...] = (
    (122, 84, 46),
    (186, 134, 52),
    (128, 148, 76),
    (100, 148, 176),
    (92, 62, 42),
)
NOSES: tuple[Color, ...] = ((52, 44, 46), (52, 44, 46), (112, 76, 68), (196, 124, 120))
PINK: Color = (226, 158, 152)
WHITE: Color = (250, 247, 240)


GREENS: tuple[Color, ...] = (
    (112, 146, 76), (84, 120, 72), (150, 158, 86), (186, 168, 112), (140, 150, 140),
    (226, 230, 234),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Coat:
    """The colours of one animal. None of them says which species wears it."""

    ground: Color
    marking: Color
    pale: Color
    """Muzzle, chest and paws."""
    ear: Color
    """The inside of the ears."""
    line: Color
    """Outlines and shadows."""
    iris: Color
    nose: Color
    pattern: str
    collar: Color | None


def mix(a: Color, b: Color, share: float) -> Color:
    """Return the colour `share` of the way from a to b."""
    r, g, b_ = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, b_


def jitter(color: Color, rng: np.random.Generator, *, amount: int) -> Color:
    """Return a colour near `color`, each channel moved by at most `amount`."""
    r, g, b = (
        min(255, max(0, channel + int(move)))
        for channel, move in zip(color, rng.integers(-amount, amount + 1, 3), strict=True)
    )
    return r, g, b


def pick(colors: tuple[Color, ...], rng: np.random.Generator, *, amount: int = 18) -> Color:
    """Return a colour near one of `colors`."""
    return jitter(colors[rng.integers(len(colors))], rng, amount=amount)


def any_color(rng: np.random.Generator) -> Color:
    """Return a colour that is neither black nor white."""
    r, g, b = rng.integers(36, 232, 3)
    return int(r), int(g), int(b)


def random_coat(rng: np.random.Generator) -> Coat:
    """Return a coat of random colours and pattern."""
    ground, marking = (jitter(c, rng, amount=8) for c in FURS[rng.integers(len(FURS))])
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    white = pattern == "white belly" or rng.random() < 0.35
    pale = mix(ground, WHITE, 0.85 if white else float(rng.uniform(0.12, 0.4)))
    if pattern == "points":
        pale = mix(ground, marking, float(rng.uniform(0.5, 0.9)))
    bright = tuple(int(x) for x in rng.integers(40, 230, 3))
    return Coat(
        ground=ground,
        marking=marking,
        pale=pale,
        ear=mix(PINK, ground, float(rng.uniform(0.1, 0.6))),
        line=mix(mix(ground, marking, 0.3), (24, 18, 24), 0.72),
        iris=jitter(IRISES[rng.integers(len(IRISES))], rng, amount=12),
        nose=jitter(NOSES[rng.integers(len(NOSES))], rng, amount=8),
        pattern=pattern,
        collar=(bright[0], bright[1], bright[2]) if rng.random() < 0.45 else None,
    )


def fur_sheet(
    size: tuple[int, int], coat: Coat, rng: np.random.Generator, *, unit_px: float
) -> Image.Image:
    """Return a sheet of fur: ground, pattern and strands; `unit_px` is the radius of a head."""
    sheet = Image.new("RGB", size, coat.ground)
    draw = ImageDraw.Draw(sheet)
    if coat.pattern == "stripes":
        _stripes(draw, size, coat, rng, unit_px)
    elif coat.pattern == "spots":
        _blots(draw, size, coat.marking, rng, spacing=0.62 * unit_px, radius=0.15 * unit_px)
    elif coat.pattern == "patches":
        _blots(draw, size, coat.marking, rng, spacing=1.7 * unit_px, radius=0.62 * unit_px)
    _strands(draw, size, coat, rng, unit_px)
    return sheet


def _stripes(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    coat: Coat,
    rng: np.random.Generator,
    unit_px: float,
) -> None:
    step = float(rng.uniform(0.3, 0.5)) * unit_px
    y = np.linspace(-10, size[1] + 10, 12)
    phase, slope = rng.uniform(0, 6), rng.uniform(-0.4, 0.4)
    for x in np.arange(-size[1] * 0.4, size[0] * 1.4, step):
        wave = x + slope * y + 0.12 * unit_px * np.sin(y / (0.3 * unit_px) + phase + x)
        half = (0.16 + 0.1 * rng.random(12)) * step
        left, right = np.stack([wave - half, y], axis=1), np.stack([wave + half, y], axis=1)
        draw.polygon(np.concatenate([left, right[::-1]]).ravel().tolist(), fill=coat.marking)


def _blots(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    color: Color,
    rng: np.random.Generator,
    *,
    spacing: float,
    radius: float,
) -> None:
    angles = np.arange(9) * (2 * np.pi / 9)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x, y = (np.arange(0, side + spacing, spacing) for side in size)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 1, 2)
    n = len(grid)
    middles = grid + rng.uniform(-0.4, 0.4, (n, 1, 2)) * spacing
    reach = radius * rng.uniform(0.6, 1.2, (n, 1, 1)) * rng.uniform(0.75, 1.2, (n, 9, 1))
    for blot in (middles + circle * reach).reshape(n, 18).tolist():
        draw.polygon(blot, fill=color)


def _strands(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    coat: Coat,
    rng: np.random.Generator,
    unit_px: float,
) -> None:
    n, length = 120, 0.11 * unit_px
    start = rng.uniform(0, 1, (n, 2)) * size
    end = start + rng.uniform(-0.4, 0.4, (n, 2)) * length + (0, length)
    tones = mix(coat.ground, coat.line, 0.16), mix(coat.ground, WHITE, 0.18)
    for k, xy in enumerate(np.concatenate([start, end], axis=1).tolist()):
        draw.line(xy, fill=tones[k % 2], width=max(1, round(0.025 * unit_px)))
