"""An RGB image to the network's input; pack, batch prediction and server call this one function.

How an image of width w and height h becomes a square of s pixels is its `fit`:

squash  both sides are scaled to s, whatever the aspect: nothing is cut off.
crop    the short side is scaled to s and the middle of the long one kept. Nothing is rounded: what
        is kept may begin in the middle of a pixel, so a mirrored image gives mirrored pixels.
pad     the long side is scaled to s, the short one to `padded_side`, at least one pixel; bands of
        `PAD_COLOUR` fill the square, the odd line below or to the right.
resize_crop  the short side is scaled to r, the spec's `resize_px`, the long one to its whole number
        of pixels below; the square is cut from the middle, at a whole pixel. Bit for bit what
        Resize(r) and CenterCrop(s) of torchvision and timm make of a Pillow image, which is what
        their pretrained weights were measured with.
resize_squash  the same, but both sides are scaled to r: timm's crop_mode "squash".

Pixels are interpolated by the spec's `resample`, a filter of Pillow's. Bicubic overshoots at edges
and is cut to 0..255 after each of its two passes, so their order shows: Pillow 13 scales the height
first where that saves work, earlier ones the width, and single values differ by up to 30.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import ArtifactError
from pipeline.imaging.decode import decode
from pipeline.imaging.spec import BICUBIC, BILINEAR, PreprocessSpec

Pixels = NDArray[np.uint8]

PAD_COLOUR = (124, 116, 104)
"""The mean of ImageNet, which the network's first layer turns into zeros. Part of what `pad` means
in models that exist: another colour needs another name."""


# Both antialiased: a resize that is not differs by up to 97 of 255.
FILTERS = {BILINEAR: Image.Resampling.BILINEAR, BICUBIC: Image.Resampling.BICUBIC}


def preprocess(image: Image.Image, spec: PreprocessSpec) -> Pixels:
    """Return (H, W, 3) uint8 pixels, H = W = `spec.size_px`.

    Raises:
        ArtifactError: the spec asks for a geometry that this version does not know, or for a
            square larger than what it is cut from.
    """
    if spec.fit not in GEOMETRIES or spec.resample not in FILTERS:
        raise ArtifactError(
            f"preprocessing {spec.fit!r} with {spec.resample!r} is unknown to this version; "
            "use the version of the pipeline that made the model"
        )
    return np.asarray(GEOMETRIES[spec.fit](image, spec), dtype=np.uint8)


def pixels_from_bytes(content: bytes, spec: PreprocessSpec) -> Pixels:
    """Decode and preprocess; raises ImageError as `decode` does."""
    return preprocess(decode(content), spec)


def padded_side(short_px: int, long_px: int, size_px: int) -> int:
    """Return short_px * size_px / long_px, rounded half up, at least 1."""
    return max(1, (2 * short_px * size_px + long_px) // (2 * long_px))


def resized_short_side(spec: PreprocessSpec) -> int:
    """Return the short side in pixels of what `resize_crop` and `resize_squash` cut.

    Raises:
        ArtifactError: it is missing, or less than the square's.
    """
    if spec.resize_px is None or spec.resize_px < spec.size_px:
        raise ArtifactError(
            f"preprocessing {spec.fit!r} with resize_px {spec.resize_px}: a square of "
            f"{spec.size_px} pixels cannot be cut from it; give a resize_px of at least that"
        )
    return spec.resize_px


def _squash(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    return image.resize((spec.size_px, spec.size_px), FILTERS[spec.resample])


def _crop(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    # One call: the filter still sees the pixels beyond the box, as scaling before cropping would.
    return image.resize((spec.size_px, spec.size_px), FILTERS[spec.resample], box=box)


def _pad(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    size_px = spec.size_px
    width, height = (padded_side(side, max(image.size), size_px) for side in image.size)
    scaled = image.resize((width, height), FILTERS[spec.resample])
    square = Image.new("RGB", (size_px, size_px), PAD_COLOUR)
    square.paste(scaled, ((size_px - width) // 2, (size_px - height) // 2))
    return square


def _resize_crop(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    short_px = resized_short_side(spec)
    width, height = (short_px * side // min(image.size) for side in image.size)
    return _middle(image.resize((width, height), FILTERS[spec.resample]), spec.size_px)


def _resize_squash(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    side = resized_short_side(spec)
    return _middle(image.resize((side, side), FILTERS[spec.resample]), spec.size_px)


def _middle(image: Image.Image, size_px: int) -> Image.Image:
    # Python rounds halves to even, and so does what the weights were measured with.
    left, top = (round((side - size_px) / 2) for side in image.size)
    return image.crop((left, top, left + size_px, top + size_px))


Geometry = Callable[[Image.Image, PreprocessSpec], Image.Image]

FITS: dict[str, Geometry] = {"squash": _squash, "crop": _crop, "pad": _pad}
"""What a project may choose: they need no more than the size."""
CUTS: dict[str, Geometry] = {"resize_crop": _resize_crop, "resize_squash": _resize_squash}
"""What comes with pretrained weights: these need `resize_px` too."""
GEOMETRIES = FITS | CUTS
