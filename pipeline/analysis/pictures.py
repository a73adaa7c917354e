"""Small pictures as data URIs, so that the page needs no other file."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.core.archive import RawArchive
from pipeline.imaging.decode import decode

CARD_PX = 160
SQUARE_PX = 96
JPEG_QUALITY = 80


class Album:
    """Thumbnails of the images in data/raw.zip; each is decoded when first asked for.

    Raises:
        ArtifactError: the archive has no such image.
        ImageError: its bytes are not an image, though split found them usable.
    """

    def __init__(self, archive: RawArchive) -> None:
        self._archive = archive
        self._made: dict[tuple[str, str], str] = {}

    def card(self, path: str) -> str:
        """Return the whole picture, its longer side at most `CARD_PX`."""
        return self._thumbnail(path, "card")

    def square(self, path: str) -> str:
        """Return the middle of the picture as a square of `SQUARE_PX`."""
        return self._thumbnail(path, "square")

    def _thumbnail(self, path: str, shape: str) -> str:
        if (path, shape) not in self._made:
            image = decode(self._archive.read(path))
            if shape == "square":
                image = ImageOps.fit(image, (SQUARE_PX, SQUARE_PX), Image.Resampling.BOX)
            else:
                image.thumbnail((CARD_PX, CARD_PX), Image.Resampling.LANCZOS)
            self._made[path, shape] = jpeg_uri(image)
        return self._made[path, shape]


def jpeg_uri(image: Image.Image) -> str:
    """Return an RGB image as a JPEG data URI, without metadata."""
    image.info.clear()  # a photograph's comment or colour profile can be larger than its thumbnail
    return _uri(image, "jpeg", quality=JPEG_QUALITY, optimize=True)


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """Return (H, W, 3) pixels as a PNG data URI."""
    return _uri(Image.fromarray(pixels), "png", optimize=True)


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
