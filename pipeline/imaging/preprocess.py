"""An RGB image to the network's input; pack, batch prediction and server call this one function.

How an image of width w and height h becomes a square of s pixels is its `fit`:

squash  both sides are scaled to s, whatever the aspect: nothing is cut off.
crop    the short side is scaled to s and the middle of the long one kept. Nothing is rounded: what
        is kept may begin in the middle of a pixel, so a mirrored image gives mirrored pixels.
pad     the long side is scaled to s, the short one to `padded_side`, at least one pixel; bands of
        `PAD_COLOUR` fill the square, the odd line below or to the right.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import ArtifactError
from pipeline.imaging.decode import decode
from pipeline.imaging.spec import RESAMPLE, PreprocessSpec

Pixels = NDArray[np.uint8]

PAD_COLOUR = (124, 116, 104)
"""The mean of ImageNet, which the network's first layer turns into zeros. Part of what `pad` means
in models that exist: another colour needs another name."""


def preprocess(image: Image.Image, spec: PreprocessSpec) -> Pixels:
    """Return (H, W, 3) uint8 pixels, H = W = `spec.size_px`.

    Raises:
        ArtifactError: the spec asks for a geometry that this version does not know.
    """
    if spec.fit not in FITS or spec.resample != RESAMPLE:
        raise ArtifactError(
            f"preprocessing {spec.fit!r} with {spec.resample!r} is unknown to this version; "
            "use the version of the pipeline that made the model"
        )
    return np.asarray(FITS[spec.fit](image, spec.size_px), dtype=np.uint8)


def pixels_from_bytes(content: bytes, spec: PreprocessSpec) -> Pixels:
    """Decode and preprocess; raises ImageError as `decode` does."""
    return preprocess(decode(content), spec)


def padded_side(short_px: int, long_px: int, size_px: int) -> int:
    """Return short_px * size_px / long_px, rounded half up, at least 1."""
    return max(1, (2 * short_px * size_px + long_px) // (2 * long_px))


def _squash(image: Image.Image, size_px: int) -> Image.Image:
    return _scale(image, size_px, size_px)


def _crop(image: Image.Image, size_px: int) -> Image.Image:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    # One call: the filter still sees the pixels beyond the box, as scaling before cropping would.
    return _scale(image, size_px, size_px, box=(left, top, left + side, top + side))


def _pad(image: Image.Image, size_px: int) -> Image.Image:
    width, height = (padded_side(side, max(image.size), size_px) for side in image.size)
    square = Image.new("RGB", (size_px, size_px), PAD_COLOUR)
    square.paste(_scale(image, width, height), ((size_px - width) // 2, (size_px - height) // 2))
    return square


def _scale(
    image: Image.Image,
    width: int,
    height: int,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    # Pillow's bilinear is antialiased; an un-antialiased resize differs by up to 97/255.
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box)


FITS: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "squash": _squash,
    "crop": _crop,
    "pad": _pad,
}
