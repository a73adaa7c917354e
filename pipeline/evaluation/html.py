"""What the pages for people have in common: filled templates, and small copies of images."""

import base64
import io
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

SIDE_PX = 160
QUALITY = 80


def environment(templates: Path) -> Environment:
    """Return the environment of a folder of templates; whatever is filled in is escaped."""
    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def small_jpeg(image: Image.Image) -> tuple[str, tuple[int, int]]:
    """Return a JPEG in base64 with sides of at most `SIDE_PX`, and its width and height."""
    small = image.copy()
    small.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    small.info.clear()  # a comment inside a photograph can be larger than its thumbnail
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii"), small.size
