"""One picture of a cat or a dog: scene, animal, obstacles, light."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pipeline.sources.bodies import POSES, Pose
from pipeline.sources.canvas import Canvas, ellipse
from pipeline.sources.coat import fur_sheet, random_coat
from pipeline.sources.obstacles import obstruct
from pipeline.sources.scenery import background

Species = Literal["cat", "dog"]
SPECIES: tuple[Species, ...] = ("cat", "dog")
SUPERSAMPLING = 2
POSE_SHARES = (0.34, 0.26, 0.22, 0.18)
MIN_SIDE_PX, MAX_SIDE_PX, MAX_ASPECT = 120, 320, 1.6


def draw_animal(
    species: Species, rng: np.random.Generator
) -> tuple[Image.Image, NDArray[np.bool_]]:
    """Draw one animal in a scene.

    Colours, patterns, scenes, poses and light come from the same distributions for either species;
    only shapes tell them apart: ears, muzzle, nose, eyes, whiskers, tail and the strength of legs.

    Returns:
        The RGB picture, sides of 120 to 320 px, and an (H, W) mask, True where the animal is seen.
    """
    size = _random_size(rng)
    pose = POSES[rng.choice(len(POSES), p=POSE_SHARES)]
    canvas = _canvas(size, pose, rng)
    scene = _scene(size, pose, canvas)
    pose.paint(canvas, species)
    alpha, mask = canvas.mask, canvas.mask.copy()
    if rng.random() < 0.4:
        face = (*canvas.offset.tolist(), canvas.px_per_unit)
        obstruct(canvas.image, alpha, mask, face=face, rng=rng)
    scene.paste(canvas.image.reduce(SUPERSAMPLING), mask=alpha.reduce(SUPERSAMPLING))
    seen = np.asarray(mask.reduce(SUPERSAMPLING)) > 127
    return _photograph(scene, rng), seen


def _random_size(rng: np.random.Generator) -> tuple[int, int]:
    least = round(1.25 * MIN_SIDE_PX)
    long = least + int((MAX_SIDE_PX + 1 - least) * rng.random() ** 1.5)  # more small than large
    short = int(rng.integers(max(MIN_SIDE_PX, math.ceil(long / MAX_ASPECT)), long + 1))
    return (long, short) if rng.random() < 0.5 else (short, long)


def _canvas(size: tuple[int, int], pose: Pose, rng: np.random.Generator) -> Canvas:
    """Return an empty layer of the colour of outlines, with fur and the place for the pose."""
    w, h = size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING
    linear, offset = _placement((w, h), pose, rng)
    coat = random_coat(rng)
    unit_px = math.sqrt(abs(float(np.linalg.det(linear))))
    return Canvas(
        image=Image.new("RGB", (w, h), coat.line),
        mask=Image.new("L", (w, h)),
        sheet=fur_sheet((w, h), coat, rng, unit_px=unit_px),
        coat=coat,
        linear=linear,
        offset=offset,
        rng=rng,
    )


def _scene(size: tuple[int, int], pose: Pose, canvas: Canvas) -> Image.Image:
    """Return a background with the animal's shadow; a low resolution puts it out of focus."""
    focus = float(canvas.rng.uniform(0.45, 0.95))
    small = (round(size[0] * focus), round(size[1] * focus))
    scene = background(small, canvas.rng)
    if pose.shadow is not None:
        outline = canvas.px(ellipse(*pose.shadow)) * (focus / SUPERSAMPLING)
        shade = Image.new("L", small)
        ImageDraw.Draw(shade).polygon(outline.ravel().tolist(), fill=96)
        scene.paste((20, 16, 24), mask=shade)
    return scene.resize(size, Image.Resampling.BILINEAR)


def _placement(
    size: tuple[int, int], pose: Pose, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrix and offset that bring the pose's units to pixels of the picture."""
    left, top, right, bottom = pose.box
    fit = min(size[0] / (right - left), size[1] / (bottom - top))
    scale = fit * rng.uniform(*pose.fill)
    angle = math.radians(float(np.clip(rng.normal(0, 8), -20, 20)))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    stretch = math.exp(rng.uniform(-0.1, 0.1))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    linear = scale * turn @ np.diag([mirror * stretch, 1 / stretch])
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    room = np.maximum(np.array(size) - scale * np.array([right - left, bottom - top]), 0)
    slack = 0.5 * room + 0.07 * np.array(size)
    target = np.array(size) / 2 + rng.uniform(-1, 1, 2) * slack
    inside = 0.85 * scale  # the head may touch an edge, but not leave by it
    return linear, np.clip(target - linear @ middle, inside, np.array(size) - inside)


def _photograph(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture as a camera might have taken it: light, exposure, focus, noise."""
    if rng.random() < 0.5:
        corners = rng.integers(164, 256, (2, 2), dtype=np.uint8)
        shade = Image.fromarray(corners).resize(image.size, Image.Resampling.BILINEAR)
        image = ImageChops.multiply(image, Image.merge("RGB", (shade, shade, shade)))
    image = image.point(_exposure(rng))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.3))))
    if rng.random() < 0.5:
        noise = int(rng.integers(3, 16))
        pixels = np.asarray(image).astype(np.int16)
        pixels += rng.integers(-noise, noise + 1, pixels.shape, dtype=np.int8)
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return image


def _exposure(rng: np.random.Generator) -> list[int]:
    """Return a table of 3 x 256 values: brightness, contrast and tint."""
    brightness, contrast = rng.uniform(0.8, 1.28), rng.uniform(0.78, 1.2)
    tint = rng.uniform(0.92, 1.08, (3, 1))
    levels = (np.arange(256) - 128) * contrast + 128
    table = np.clip(levels * brightness * tint, 0, 255).round().astype(int)
    return [int(value) for value in table.ravel()]
