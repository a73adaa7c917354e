"""Small archives of images, for the tests of data."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.archive import Member, RawArchive, write_archive


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def archive_of(folder: Path, contents: dict[str, bytes]) -> tuple[Path, tuple[Member, ...]]:
    """Write data/raw.zip in a folder; return its path and members."""
    path = folder / "data/raw.zip"
    write_archive(path, [(name, f"mine/{name}", contents[name]) for name in sorted(contents)])
    with RawArchive(path) as archive:
        return path, archive.members
