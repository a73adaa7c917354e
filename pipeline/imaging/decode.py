"""Bytes to an RGB image: the one gate through which every image enters.

A short list of formats, limits read from the header before any pixel is decoded, a full decode,
EXIF orientation applied, 16-bit scaled, transparency composited on white. Of an animation the
first frame is the image.

Pillow reads headers and decides what is damaged. Sound JPEGs in colour or grey, nearly all there
are, are decoded by simplejpeg: the same libjpeg-turbo, the same bytes, in half the time.
"""

import io
import struct
import warnings
import zlib

import numpy as np
import simplejpeg
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from pipeline.core.errors import ImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # a phone's MPO opens as the JPEG that it is
MAX_BYTES = 50 * 2**20
MAX_PIXELS = 50_000_000  # a 48-megapixel phone photograph passes
MAX_ASPECT = 20.0
MIN_SIDE_PX = 8

ORIENTED_BY = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
"""Where Pillow finds an orientation: an image with none of these has none."""

REASONS = ("empty", "too_large", "not_an_image", "truncated", "bad_size")
"""Why bytes are refused; the closed vocabulary of `ImageError.reason`."""

ImageFile.LOAD_TRUNCATED_IMAGES = False  # True would turn damage into grey pixels
Image.MAX_IMAGE_PIXELS = None  # our own limit is read from the header, before any pixel


def decode(content: bytes) -> Image.Image:
    """Return the RGB image that `content` encodes.

    Raises:
        ImageError: the bytes are not a usable image; `reason` is one of `REASONS`.
    """
    if not content:
        raise ImageError("empty", "no bytes")
    if len(content) > MAX_BYTES:
        raise ImageError("too_large", f"{len(content)} bytes, limit {MAX_BYTES}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd EXIF and palettes
        image = _open(content)
        _check_size(*image.size)
        return _to_rgb(_load(image, content))


def _open(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError("not_an_image", f"none of {', '.join(FORMATS)}") from error
    except Exception as error:  # decoders raise many types: ValueError, SyntaxError, struct.error
        raise ImageError("not_an_image", _brief(error)) from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError("too_large", f"{width} x {height} pixels, limit {MAX_PIXELS}")
    if min(width, height) < MIN_SIDE_PX:
        raise ImageError("bad_size", f"{width} x {height} pixels, sides of at least {MIN_SIDE_PX}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError("bad_size", f"{width} x {height} pixels, sides at most {MAX_ASPECT:g} : 1")


def _load(image: Image.Image, content: bytes) -> Image.Image:
    """Decode an opened image fully and turn it upright."""
    try:
        loaded = _sound_jpeg(image, content)
        if loaded is None:
            image.load()
            loaded = image
        if any(key in loaded.info for key in ORIENTED_BY):
            ImageOps.exif_transpose(loaded, in_place=True)
        return loaded
    except (OSError, EOFError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        raise ImageError("truncated", _brief(error)) from error
    except Exception as error:  # a decoder's own failure on damaged bytes
        raise ImageError("truncated", f"{type(error).__name__}: {_brief(error)}") from error


def _sound_jpeg(image: Image.Image, content: bytes) -> Image.Image | None:
    """Return a JPEG's pixels; None leaves other files, and any that give cause for doubt."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return None
    try:
        pixels = simplejpeg.decode_jpeg(content)  # strict: the first warning is an error
    except ValueError:
        return None
    loaded = Image.fromarray(pixels)
    if loaded.size != image.size:
        return None
    loaded.info = image.info
    return loaded


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # convert("RGB") would saturate: a 16-bit picture came out all white.
        scaled = np.clip(np.asarray(image, dtype=np.float64) / 257, 0, 255).round().astype(np.uint8)
        return Image.fromarray(scaled).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
