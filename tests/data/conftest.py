"""Small archives of drawn and broken images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_archives import archive_of, encoded, noise
from PIL import Image

from pipeline.core.archive import Member


@pytest.fixture
def picture() -> Callable[[int], bytes]:
    """Return the bytes of a small JPEG, another one for each number."""
    return lambda seed: encoded(noise(seed), "JPEG")


@pytest.fixture
def dirty() -> dict[str, bytes]:
    """What folders of images hold besides images, and images of every odd kind."""
    rotated = Image.Exif()
    rotated[274] = 6
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    jpeg = encoded(noise(1, 200, 150), "JPEG")
    return {
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "empty.jpg": b"",
        "page.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
        "text.txt": b"images of cats\n",
        "vector.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "animation.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "sixteen_bit.png": encoded(
            Image.fromarray(np.linspace(0, 65535, 1200).astype(np.uint16).reshape(30, 40)), "PNG"
        ),
        "cmyk.jpg": encoded(noise(2).convert("CMYK"), "JPEG"),
        "rgba.png": encoded(noise(3).convert("RGBA"), "PNG"),
        "palette.png": encoded(noise(4).convert("P"), "PNG"),
        "gray.jpg": encoded(noise(5).convert("L"), "JPEG"),
        "rotated.jpg": encoded(noise(6), "JPEG", exif=rotated),
        "dot.png": encoded(noise(7, 1, 1), "PNG"),
        "strip.png": encoded(noise(8, 5000, 10), "PNG"),
    }


@pytest.fixture
def make_archive(tmp_path) -> Callable[[dict[str, bytes]], tuple[Path, tuple[Member, ...]]]:
    """Write data/raw.zip; return its path and members."""

    return lambda contents: archive_of(tmp_path, contents)
