"""Bytes to an RGB image: the one gate through which every image enters.

A short list of formats, limits read from the header before any pixel is decoded, a full decode,
EXIF orientation applied, 16-bit scaled, transparency composited on white. Of an animation the
first frame is the image.

Pillow reads headers and decides what is damaged. Sound JPEGs in colour or grey, nearly all there
are, are decoded by simplejpeg: the same libjpeg-turbo, the same bytes, in half the time.
"""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import numpy as np
import simplejpeg
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from pipeline.core.errors import ImageError
from pipeline.imaging.png import bit_depth, lacks_pixels

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # a phone's MPO opens as the JPEG that it is
JPEG = ("JPEG", "MPO")
MAX_BYTES = 50 * 2**20
MAX_PIXELS = 40_000_000
MAX_PIXELS_WEBP = 25_000_000
"""Less, because its decoder holds four whole images."""
MAX_ASPECT = 20.0
MIN_SIDE_PX = 8

MAX_SCANS = 100
"""Of a progressive JPEG: cameras and encoders write about ten, a file with thousands is a bomb."""
MAX_SEGMENTS = 10_000
"""A file of 50 MiB has a thousand of the greatest length; more take time to pass over."""
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
# The end, and those that a length follows, inside a scan too; not restarts, which are part of one.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
STRIP_PIXELS = 2**20
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF8", b"BM")

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
        _check_size(*image.size, MAX_PIXELS_WEBP if image.format == "WEBP" else MAX_PIXELS)
        _check_scans(image, content)
        return _to_rgb(_load(image, content))


def _open(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError("not_an_image", f"none of {', '.join(FORMATS)}") from error
    except Exception as error:  # decoders raise many types: ValueError, SyntaxError, struct.error
        damaged = content.startswith(MAGIC)
        raise ImageError("truncated" if damaged else "not_an_image", _brief(error)) from error


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError("too_large", f"{width} x {height} pixels, limit {max_pixels}")
    if min(width, height) < MIN_SIDE_PX:
        raise ImageError("bad_size", f"{width} x {height} pixels, sides of at least {MIN_SIDE_PX}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError("bad_size", f"{width} x {height} pixels, sides at most {MAX_ASPECT:g} : 1")


def _check_scans(image: Image.Image, content: bytes) -> None:
    """Refuse a JPEG of which each scan would be decoded over the whole image once more."""
    if image.format not in JPEG:
        return
    # Inside a scan, another byte follows every 0xff. What is rare is looked at more closely.
    if content.count(START_OF_SCAN) <= MAX_SCANS:
        return
    markers = list(islice(segments(content), MAX_SEGMENTS + 1))
    if len(markers) > MAX_SEGMENTS:
        raise ImageError("too_large", f"more than {MAX_SEGMENTS} segments")
    n_scans = markers.count(START_OF_SCAN)
    if n_scans > MAX_SCANS:
        raise ImageError("too_large", f"{n_scans} scans, limit {MAX_SCANS}")


def segments(content: bytes) -> Iterator[bytes]:
    """Yield the markers of a JPEG up to its end, behind which phones put a film or an image."""
    position = 0
    while found := _MARKER.search(content, position):
        if found[0] == END_OF_IMAGE:
            return
        yield found[0]
        length = int.from_bytes(content[found.end() : found.end() + 2])  # its own two bytes count
        position = found.end() + max(length, 2)


def _load(image: Image.Image, content: bytes) -> Image.Image:
    """Decode an opened image fully and turn it upright."""
    try:
        loaded = _sound_jpeg(image, content)
        if loaded is None:
            image.load()
            loaded = image
        if loaded.format == "PNG":
            _mend_png(loaded, content)
    except (OSError, EOFError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        raise ImageError("truncated", _brief(error)) from error
    except Exception as error:  # a decoder's own failure on damaged bytes
        raise ImageError("truncated", f"{type(error).__name__}: {_brief(error)}") from error
    if any(key in loaded.info for key in ORIENTED_BY):
        with suppress(Exception):  # an EXIF block that cannot be read says nothing
            ImageOps.exif_transpose(loaded, in_place=True)
    return loaded


def _mend_png(image: Image.Image, content: bytes) -> None:
    """Check and correct what Pillow passes over."""
    if lacks_pixels(content):
        raise OSError("the data ends before the last row")
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and bit_depth(content) == 16:
        image.info["transparency"] = tuple(level >> 8 for level in key)  # as the pixels are


def _sound_jpeg(image: Image.Image, content: bytes) -> Image.Image | None:
    """Return a JPEG's pixels; None leaves other files, and any that give cause for doubt."""
    if image.format not in JPEG or image.mode not in ("RGB", "L"):
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
    """Convert in strips: a large image is never held three times over."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width)
    if rows >= height:
        return _strip_to_rgb(image)
    whole = Image.new("RGB", image.size)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        whole.paste(_strip_to_rgb(strip), (0, top))
    return whole


def _strip_to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scaled(image).convert("RGB")
    if image.has_transparency_data:  # of RGB: one colour that stands for nothing
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Return 8 bits of 16; convert("RGB") would saturate: a 16-bit picture came out all white."""
    levels = np.asarray(image, dtype=np.float64)
    scaled = np.clip(levels / 257, 0, 255).round().astype(np.uint8)
    if isinstance(key := image.info.get("transparency"), int):
        scaled[levels == key] = 255
    return Image.fromarray(scaled)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
