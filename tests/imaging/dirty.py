"""About 500 image files of every odd kind, each with the verdict that its construction calls for.

Nothing here asks the gate what it thinks: a file that was cut is `truncated` because it was cut.
Where two verdicts are right (a flipped bit in entropy-coded data may still decode), both stand.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ACCEPTED = frozenset({"accepted"})
NOT_AN_IMAGE = frozenset({"not_an_image"})
TRUNCATED = frozenset({"truncated"})
TOO_LARGE = frozenset({"too_large"})
BAD_SIZE = frozenset({"bad_size"})
BROKEN = NOT_AN_IMAGE | TRUNCATED
"""Damage before the first pixel: the rest of a header may still be told from no header, or not."""
DAMAGED = ACCEPTED | TRUNCATED
"""Damage that a decoder cannot always notice."""
ANY = DAMAGED | BROKEN | TOO_LARGE | BAD_SIZE
"""Damage in a header may make it say anything."""

Colour = tuple[int, int, int]
Corners = tuple[Colour, Colour, Colour, Colour]
WIDTH, HEIGHT = 40, 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Dirty:
    """One file."""

    name: str
    content: bytes
    verdicts: frozenset[str]
    """`accepted`, or reasons of the gate."""
    size: tuple[int, int] | None = None
    """Width and height as shown."""
    corners: Corners | None = None
    """Colours of the four quarters as shown: top left, top right, bottom left, bottom right."""
    within: int = 0
    """How far a colour may be off, for lossy formats and rounding."""


@cache
def collection() -> tuple[Dirty, ...]:
    """Return all files; the same ones every time."""
    from imaging import (
        dirty_bitmaps,
        dirty_bombs,
        dirty_damage,
        dirty_jpegs,
        dirty_pngs,
        dirty_strangers,
    )

    parts = (dirty_pngs, dirty_jpegs, dirty_bitmaps, dirty_strangers, dirty_damage, dirty_bombs)
    files = tuple(file for part in parts for file in part.files())
    assert len({file.name for file in files}) == len(files)
    return files


def refused_files() -> tuple[Dirty, ...]:
    """Return the files that no gate may let in."""
    return tuple(file for file in collection() if "accepted" not in file.verdicts)


def rng(name: str) -> np.random.Generator:
    """Return the random numbers of one file."""
    return np.random.default_rng(crc32(name.encode()))


def colours(name: str) -> Corners:
    """Return four colours far from each other, from black and from white."""
    a, b, c, d = rng(name).permutation(
        [(210, 60, 50), (60, 190, 80), (70, 80, 200), (200, 190, 70)]
    )
    jitter = rng(name + "+").integers(-20, 21, (4, 3))
    return tuple(tuple(map(int, row)) for row in np.stack([a, b, c, d]) + jitter)  # type: ignore[return-value]


def quarters(values: NDArray[np.generic] | Corners) -> NDArray[np.generic]:
    """Return (HEIGHT, WIDTH, ...) samples, each quarter of the picture flat."""
    a, b, c, d = np.asarray(values)
    top = np.stack([a] * (WIDTH // 2) + [b] * (WIDTH // 2))
    bottom = np.stack([c] * (WIDTH // 2) + [d] * (WIDTH // 2))
    return np.stack([top] * (HEIGHT // 2) + [bottom] * (HEIGHT // 2))


def picture(corners: Corners) -> Image.Image:
    """Return the RGB image of four flat quarters."""
    return Image.fromarray(quarters(corners).astype(np.uint8))


def noise(name: str, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Return an image with detail everywhere, whose damage shows."""
    return Image.fromarray(rng(name).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the file that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def shown(
    name: str,
    content: bytes,
    corners: Corners,
    *,
    within: int = 0,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Dirty:
    """Return a file that is accepted, with what it must look like."""
    return Dirty(
        name=name, content=content, verdicts=ACCEPTED, size=size, corners=corners, within=within
    )


def turned(corners: Corners, orientation: int) -> tuple[Corners, tuple[int, int]]:
    """Return corners and size as shown under an EXIF orientation.

    EXIF 2.32, tag 274: orientation 6, say, means that row 0 is the right-hand side of what is shown
    and column 0 its top. A B / C D are the quarters as stored.
    """
    a, b, c, d = corners
    found: Corners = {
        1: (a, b, c, d),  # row 0 is the top, column 0 the left
        2: (b, a, d, c),  # top, right
        3: (d, c, b, a),  # bottom, right
        4: (c, d, a, b),  # bottom, left
        5: (a, c, b, d),  # left, top
        6: (c, a, d, b),  # right, top
        7: (d, b, c, a),  # right, bottom
        8: (b, d, a, c),  # left, bottom
    }[orientation]
    return found, (WIDTH, HEIGHT) if orientation <= 4 else (HEIGHT, WIDTH)


def oriented(kind: str, suffix: str, *, within: int, **options: object) -> Iterator[Dirty]:
    """Yield one file per EXIF orientation."""
    for orientation in range(1, 9):
        name = f"orientation-{orientation}.{suffix}"
        exif = Image.Exif()
        exif[274] = orientation
        corners, size = turned(colours(name), orientation)
        content = encoded(picture(colours(name)), kind, exif=exif, **options)
        yield shown(name, content, corners, size=size, within=within)


def composited(colour: Colour, alpha: int) -> Colour:
    """Return a colour laid on white, alpha of 255 hiding the white."""
    return tuple(round((c * alpha + 255 * (255 - alpha)) / 255) for c in colour)  # type: ignore[return-value]
