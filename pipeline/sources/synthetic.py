"""The default data set: drawn cats and dogs, with planted faults as real ones have them."""

import io
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from pipeline.core.errors import DataError
from pipeline.core.workers import supervised_map
from pipeline.sources.drawing import SPECIES, Species, draw_animal

MIN_IMAGES = 60
SWAPPED_FRACTION = 0.01
IMAGES_PER_DUPLICATE = 200
IMAGES_PER_BROKEN = 480
QUALITIES = (40, 95)  # of the JPEG files, from and to
IMAGES_PER_JOB = 24
MIN_IMAGES_FOR_PROCESSES = 120  # below that, starting processes takes longer than the work

Change = Literal[
    "none", "encode again", "mirror", "resize", "crop",
    "truncated", "empty", "text", "garbage", "wrong magic",
]  # fmt: skip
NEAR: tuple[Change, ...] = ("encode again", "mirror", "resize", "crop")
BROKEN: tuple[Change, ...] = ("truncated", "empty", "text", "garbage", "wrong magic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """The faults among the drawn files, for tests to compare with what the pipeline finds."""

    swapped: tuple[str, ...]
    """Files that lie in the folder of the other class."""
    exact_duplicates: tuple[tuple[str, str], ...]
    """(original, copy): equal bytes."""
    near_duplicates: tuple[tuple[str, str], ...]
    """(original, variant): encoded again, mirrored, slightly resized or cropped."""
    broken: tuple[str, ...]
    """Files that cannot be decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What one file shows; equal pictures have equal bytes."""

    species: Species
    index: int
    """Which drawing: the second half of its seed."""
    change: Change = "none"


def synthetic_images(
    n_images: int,
    *,
    seed: int,
    workers: int,
    on_progress: Callable[[int], None] = lambda n_images: None,
) -> tuple[list[tuple[str, bytes]], Planted]:
    """Draw a data set of cats and dogs.

    Each picture has its own random numbers, from `seed` and its index, so neither the number of
    workers nor their order changes a byte. Names carry no hint of what was planted.

    Args:
        n_images: files in total, half of them in each class, at least 60.
        seed: of everything.
        workers: processes that draw; 1, or few images, are drawn in this one.
        on_progress: called with the number of images just drawn.

    Returns:
        Names as `cat/00001.jpg` with the bytes of their files, sorted by name, and what was
        planted among them.

    Raises:
        DataError: fewer than 60 images, or no worker, are asked for; or a worker died.
    """
    if n_images < MIN_IMAGES:
        raise DataError(f"synthetic images: expected at least {MIN_IMAGES}, got {n_images}")
    if workers < 1:
        raise DataError(f"synthetic images: expected at least 1 worker, got {workers}")
    pictures, planted = plan(n_images, np.random.default_rng((seed, n_images)))
    contents = []
    for content in _render_all(pictures.values(), seed=seed, workers=workers):
        contents.append(content)
        on_progress(1)
    return list(zip(pictures, contents, strict=True)), planted


def plan(n_images: int, rng: np.random.Generator) -> tuple[dict[str, Picture], Planted]:
    """Decide which file shows what.

    Args:
        n_images: files in total.
        rng: decides where the faults go.

    Returns:
        A picture for each name, sorted by name, and the faults among them.
    """
    pictures = _clean(n_images)
    free = _shuffled(list(pictures), rng)
    swapped = _take(free, max(1, round(SWAPPED_FRACTION * n_images)))
    for name in swapped:
        shown = SPECIES[1 - SPECIES.index(pictures[name].species)]
        pictures[name] = Picture(species=shown, index=pictures[name].index)
    n_pairs = max(1, n_images // IMAGES_PER_DUPLICATE)
    exact = _take_pairs(free, n_pairs)
    for original, copy in exact:
        pictures[copy] = pictures[original]
    near = _take_pairs(free, n_pairs)
    for k, (original, variant) in enumerate(near):
        pictures[variant] = _changed(pictures[original], NEAR[k % len(NEAR)])
    broken = _take(free, max(1, n_images // IMAGES_PER_BROKEN))
    for k, name in enumerate(broken):
        pictures[name] = _changed(pictures[name], BROKEN[k % len(BROKEN)])
    return pictures, Planted(
        swapped=tuple(sorted(swapped)),
        exact_duplicates=tuple(sorted(exact)),
        near_duplicates=tuple(sorted(near)),
        broken=tuple(sorted(broken)),
    )


def _clean(n_images: int) -> dict[str, Picture]:
    """Return names in order, each with a drawing of its own of the right species."""
    pictures = {}
    index = 0
    for species, n in zip(SPECIES, ((n_images + 1) // 2, n_images // 2), strict=True):
        for k in range(1, n + 1):
            pictures[f"{species}/{k:05d}.jpg"] = Picture(species=species, index=index)
            index += 1
    return pictures


def _shuffled(names: list[str], rng: np.random.Generator) -> list[list[str]]:
    """Return the names of each class in random order."""
    classes = [[name for name in names if name.startswith(f"{s}/")] for s in SPECIES]
    return [[group[k] for k in rng.permutation(len(group))] for group in classes]


def _take(free: list[list[str]], n: int) -> list[str]:
    """Remove n names, from the classes in turn, and return them."""
    return [free[k % len(free)].pop() for k in range(n)]


def _take_pairs(free: list[list[str]], n: int) -> list[tuple[str, str]]:
    """Remove n pairs of names of one class each, from the classes in turn, and return them."""
    return [(free[k % len(free)].pop(), free[k % len(free)].pop()) for k in range(n)]


def _changed(picture: Picture, change: Change) -> Picture:
    return Picture(species=picture.species, index=picture.index, change=change)


def _render_all(pictures: Collection[Picture], *, seed: int, workers: int) -> Iterator[bytes]:
    job = partial(render, seed=seed)
    if workers == 1 or len(pictures) < MIN_IMAGES_FOR_PROCESSES:
        yield from map(job, pictures)
        return
    yield from supervised_map(job, pictures, workers=workers, chunk_items=IMAGES_PER_JOB)


def render(picture: Picture, *, seed: int) -> bytes:
    """Return the content of the file that shows `picture`."""
    rng = np.random.default_rng((seed, picture.index))
    image, _ = draw_animal(picture.species, rng)
    content = _jpeg(image, quality=int(rng.integers(QUALITIES[0], QUALITIES[1] + 1)))
    if picture.change == "none":
        return content
    if picture.change in NEAR:
        return _vary(content, picture.change, rng)
    return _break(content, picture.change, rng)


def _jpeg(image: Image.Image, *, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _vary(content: bytes, change: Change, rng: np.random.Generator) -> bytes:
    """Return the picture as somebody else might have saved it again."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    w, h = image.size
    quality = int(rng.integers(60, 86))
    if change == "mirror":
        image = ImageOps.mirror(image)
    elif change == "resize":
        scale = float(rng.uniform(0.93, 0.98))
        image = image.resize((round(w * scale), round(h * scale)), Image.Resampling.LANCZOS)
    elif change == "crop":
        left, top, right, bottom = rng.uniform(0.005, 0.02, 4) * (w, h, w, h)
        image = image.crop((round(left), round(top), w - round(right), h - round(bottom)))
    return _jpeg(image, quality=quality)


def _break(content: bytes, change: Change, rng: np.random.Generator) -> bytes:
    """Return what is left of a file after an accident."""
    if change == "truncated":
        return content[: len(content) * 3 // 5]
    if change == "text":
        return b"<html><body><h1>404 Not Found</h1></body></html>\n"
    if change == "garbage":
        return rng.bytes(len(content))
    return b"" if change == "empty" else b"\x00\x00\x00\x00" + content[4:]
