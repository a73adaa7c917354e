"""The decode gate: what enters, as what, and what is refused with which reason."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import ImageError
from pipeline.imaging.decode import MAX_BYTES, MAX_SCANS, REASONS, decode, segments


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width=40, height=30) -> Image.Image:
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, 255 - x], 2).astype(np.uint8))


def flat_png(width: int, height: int) -> bytes:
    """A PNG whose header promises any size, with almost no data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "GIF", "JPEG"])
def test_every_format_of_the_list_enters_as_rgb(kind):
    image = decode(encoded(gradient(), kind))
    assert (image.mode, image.size) == ("RGB", (40, 30))


def test_lossless_pixels_are_unchanged():
    assert np.array_equal(np.asarray(decode(encoded(gradient()))), np.asarray(gradient()))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    # How a viewer must turn the stored pixels back, from the EXIF 2.32 standard, table of tag 274.
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = gradient() if undo is None else gradient().transpose(undo)
    exif = Image.Exif()
    exif[274] = orientation
    shown = decode(encoded(stored, "PNG", exif=exif))
    assert np.array_equal(np.asarray(shown), np.asarray(gradient()))


def test_sixteen_bit_is_scaled_not_saturated():
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    found = np.asarray(decode(encoded(Image.fromarray(values))))
    assert np.array_equal(found[..., 0], np.round(values / 257).astype(np.uint8))


def test_transparency_is_composited_on_white():
    image = Image.new("RGBA", (10, 10), (255, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 255, 255))
    found = decode(encoded(image))
    assert found.getpixel((5, 5)) == (255, 255, 255)
    assert found.getpixel((0, 0)) == (0, 0, 255)


def test_palette_gray_and_cmyk_become_rgb():
    assert decode(encoded(gradient().convert("P"))).mode == "RGB"
    gray = decode(encoded(gradient().convert("L")))
    assert gray.getpixel((3, 3))[0] == gray.getpixel((3, 3))[2]
    cmyk = decode(encoded(Image.new("RGB", (16, 16), (200, 30, 40)).convert("CMYK"), "JPEG"))
    assert np.abs(np.array(cmyk.getpixel((5, 5))) - (200, 30, 40)).max() < 12


def test_of_an_animation_the_first_frame_is_the_image():
    frames = [Image.new("RGB", (12, 12), c) for c in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content).getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html>not an image</html>", "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not_an_image"),
        (encoded(gradient(), "TIFF"), "not_an_image"),
        (encoded(gradient(400, 300), "JPEG")[:3000], "truncated"),
        (encoded(gradient(400, 300))[:-200], "truncated"),
        (flat_png(20_000, 20_000), "too_large"),
        (flat_png(100, 100), "truncated"),
        (encoded(gradient(5, 5)), "bad_size"),
        (encoded(gradient(1, 400)), "bad_size"),
        (encoded(gradient(500, 20)), "bad_size"),
        (bytes(MAX_BYTES + 1), "too_large"),
    ],
)
def test_what_is_no_usable_image_is_refused_with_its_reason(content, reason):
    with pytest.raises(ImageError) as caught:
        decode(content)
    assert caught.value.reason == reason
    assert caught.value.reason in REASONS
    assert "\n" not in str(caught.value)


def test_a_jpeg_cut_anywhere_is_refused_or_was_complete():
    content = encoded(gradient(64, 64), "JPEG")
    for length in range(0, len(content) - 2, 7):
        with pytest.raises(ImageError):
            decode(content[:length])


def test_a_film_behind_a_sound_jpeg_holds_no_scans():
    film = np.random.default_rng(0).bytes(8_000_000)
    assert film.count(b"\xff\xda") > MAX_SCANS
    jpeg = encoded(gradient(), "JPEG", comment=b"\xff\xda" * 9)
    assert decode(jpeg + film).tobytes() == decode(jpeg).tobytes()


@pytest.mark.parametrize(
    ("hidden", "seen"),
    [
        (b"\xff\xda\0\2" * 200, 201),
        (b"\xff\x02\xff\xff" + b"\xff\xda\0\2" * 200, 201),  # a marker that has no length
        (b"\xff\xfe\0\0" + b"\xff\xda\0\2" * 200, 201),  # a length that leads nowhere
        (b"\xff\xfe\xff\xff" + b"\xff\xda\0\2" * 200, 1),  # a comment that runs to the end
        (b"\xff\xff\xd9" + b"\xff\xda\0\2" * 200, 1),
        (b"\xff\xd7\xff\0" + b"\xff\xda\0\2" * 200, 201),
    ],
)
def test_scans_are_counted_as_the_decoder_finds_them(hidden, seen):
    jpeg = encoded(gradient(), "JPEG")
    assert jpeg.endswith(b"\xff\xd9")
    assert list(segments(jpeg[:-2] + hidden)).count(b"\xff\xda") == seen


def test_a_jpeg_of_a_million_segments_is_refused_in_little_time():
    jpeg = encoded(gradient(), "JPEG")
    bomb = jpeg[:-2] + b"\xff\xfe\0\2" * 10**6 + b"\xff\xda" * 101
    start = time.monotonic()
    with pytest.raises(ImageError, match="too_large: more than 10000 segments"):
        decode(bomb)
    assert time.monotonic() - start < 2


def outcome(content):
    try:
        return decode(content).mode
    except ImageError as error:
        return error.reason


def test_random_damage_never_raises_anything_else():
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP"):
        content = encoded(gradient(), kind)
        for _ in range(60):
            damaged = bytearray(content)
            for position in rng.integers(0, len(content), 5):
                damaged[position] = rng.integers(256)
            assert outcome(bytes(damaged)) in {"RGB", *REASONS}
