"""Small files that promise or unpack to much, and sizes around the gate's limits."""

import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from imaging.dirty import (
    ACCEPTED,
    BAD_SIZE,
    BROKEN,
    TOO_LARGE,
    TRUNCATED,
    Dirty,
    encoded,
    noise,
)
from imaging.dirty_bitmaps import bmp
from imaging.dirty_jpegs import scan_start, segment, with_segments
from imaging.dirty_pngs import GRAY, RGB, chunk, header, png
from PIL import Image

LIMIT_BYTES = 50 * 2**20  # as documented in pipeline.imaging.decode
SIDES = [(7, 7), (1, 1), (8, 7), (7, 100), (1, 400), (400, 1), (1, 30_000), (30_000, 1)]
STRIPS = [(161, 8), (8, 161), (500, 20), (20, 500), (401, 20), (5000, 100)]
ALLOWED = [(8, 8), (160, 8), (8, 160), (400, 20), (20, 400), (2000, 100)]


def files() -> Iterator[Dirty]:
    """Yield the bombs, then the sizes."""
    yield from _pixel_bombs()
    yield from _text_bombs()
    yield from _byte_bombs()
    yield from _sizes()
    yield from _no_size()


def flat_png(width: int, height: int, *, depth: int = 1, colour: int = GRAY) -> bytes:
    """Return a sound PNG of zeros of any size."""
    packer = zlib.compressobj(9)
    samples = {GRAY: 1, RGB: 3}[colour]
    row = b"\0" + bytes((width * depth * samples + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return header(width, height, depth, colour) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_of_size(width: int, height: int) -> bytes:
    """Return a JPEG whose header promises any size."""
    content = encoded(noise("promise"), "JPEG")
    frame = content.index(b"\xff\xc0")
    return content[: frame + 5] + struct.pack(">HH", height, width) + content[frame + 9 :]


def gif_of_size(width: int, height: int, *, frame: bool = True) -> bytes:
    """Return a GIF whose screen, and frame perhaps, promise any size."""
    content = bytearray(encoded(noise("promise").quantize(16), "GIF"))
    content[6:10] = struct.pack("<HH", width, height)
    if frame:
        start = content.index(b",\0\0\0\0") + 5
        content[start : start + 4] = struct.pack("<HH", width, height)
    return bytes(content)


def webp(kind: bytes, body: bytes) -> bytes:
    """Return a RIFF file of one chunk."""
    riff = b"WEBP" + kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(riff)) + riff


def webp_of_size(width: int, height: int, *, kind: str) -> bytes:
    """Return a WEBP whose header promises up to 16,383 pixels a side, with noise for data."""
    data = noise("webp").tobytes()[:3000]
    if kind == "lossless":
        bits = (width - 1) | (height - 1) << 14
        return webp(b"VP8L", b"\x2f" + struct.pack("<I", bits) + data)
    frame = struct.pack("<I", len(data) << 5 | 1 << 4)[:3]
    return webp(b"VP8 ", frame + b"\x9d\x01\x2a" + struct.pack("<HH", width, height) + data)


def _pixel_bombs() -> Iterator[Dirty]:
    promised = header(30_000, 30_000, 8, RGB) + chunk(b"IDAT", zlib.compress(bytes(100)))
    contents = {
        "9400x9400-1-bit.png": flat_png(9400, 9400),
        "12000x12000-1-bit.png": flat_png(12_000, 12_000),
        "8000x8000-gray.png": flat_png(8000, 8000, depth=8),
        "30000x30000.png": promised + chunk(b"IEND", b""),
        "65500x65500.png": header(65_500, 65_500, 1, GRAY),
        "2147483647x2147483647.png": header(2**31 - 1, 2**31 - 1, 8, RGB) + promised[33:],
        "65500x65500.jpg": jpeg_of_size(65_500, 65_500),
        "30000x30000.jpg": jpeg_of_size(30_000, 30_000),
        "7072x7072.jpg": jpeg_of_size(7072, 7072),
        "65535x65535.gif": gif_of_size(65_535, 65_535),
        "65535x65535-small-frame.gif": gif_of_size(65_535, 65_535, frame=False),
        "16383x16383-lossless.webp": webp_of_size(16_383, 16_383, kind="lossless"),
        "16383x16383-lossy.webp": webp_of_size(16_383, 16_383, kind="lossy"),
        "30000x30000.bmp": bmp([bytes(100)], 24, width=30_000, height=30_000),
        "40000x40000-1-bit.bmp": bmp(
            [bytes(100)], 1, palette=bytes(8), width=40_000, height=40_000
        ),
        "30000x30000-rle8.bmp": bmp(
            [b"\0\1"], 8, palette=bytes(1024), compression=1, width=30_000, height=30_000
        ),
    }
    for name, content in contents.items():
        # A file that also lacks its data may be refused for that.
        whole = name.startswith(("9400", "12000", "8000")) or name.endswith(".jpg")
        refused = TOO_LARGE if whole else TOO_LARGE | BROKEN
        yield Dirty(name=f"pixels-{name}", content=content, verdicts=refused)
    for name, content in {
        "6300x6300.jpg": jpeg_of_size(6300, 6300)[:-2],
        "6300x6300-ended.jpg": jpeg_of_size(6300, 6300),
        "6300x6300.png": header(6300, 6300, 8, RGB) + promised[33:] + chunk(b"IEND", b""),
        "6300x6300.gif": gif_of_size(6300, 6300),
        "6300x6300.bmp": bmp([bytes(100)], 24, width=6300, height=6300),
        "5000x5000-lossless.webp": webp_of_size(5000, 5000, kind="lossless"),
    }.items():
        verdicts = TRUNCATED if not name.endswith("webp") else BROKEN
        if name == "6300x6300-ended.jpg":  # the end mark is there; libjpeg only warns
            verdicts |= ACCEPTED
        yield Dirty(name=f"promised-{name}", content=content, verdicts=verdicts)


def scan_bomb(side: int, n_scans: int) -> bytes:
    """Return a progressive JPEG of many scans, each of a few bytes that pass over every block.

    Decoding time is scans times blocks; an encoder writes about ten scans. Each scan says "no more
    coefficients in the next 32,767 blocks" (EOB runs, ITU-T T.81, G.1.2.2) until all are covered.
    """
    content = encoded(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    end_of_first = re.compile(rb"\xff[^\x00]").search(content, scan_start(content))
    assert end_of_first
    table = segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0")  # code 0: EOB run, 14 bits
    runs = ((side + 7) // 8) ** 2 // 32_767 + 1
    bits = "".join("0" + "1" * 14 for _ in range(runs))
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    scan = segment(0xDA, b"\1\1\0\1\x3f\0") + data
    return content[: end_of_first.start()] + table + scan * n_scans + b"\xff\xd9"


def _text_bombs() -> Iterator[Dirty]:
    """Chunks beside the pixels that unpack to 200 MB."""
    zeros = zlib.compress(bytes(200 * 10**6), 9)
    samples = np.asarray(noise("bomb"))
    refused = BROKEN | TOO_LARGE
    for name, kind, body in (
        ("ztxt", b"zTXt", b"Comment\0\0" + zeros),
        ("itxt", b"iTXt", b"Comment\0\1\0\0\0" + zeros),
        ("iccp", b"iCCP", b"profile\0\0" + zeros),
    ):
        for place in ("before", "after"):
            content = png(samples, 8, RGB, **{place: [(kind, body)]})  # type: ignore[arg-type]
            # What follows the pixels need not be looked at.
            verdicts = refused if place == "before" else refused | ACCEPTED
            yield Dirty(name=f"bomb-{name}-{place}.png", content=content, verdicts=verdicts)
    packed = zlib.compress(bytes(900_000), 9)
    many = [(b"zTXt", b"k%d\0\0" % k + packed) for k in range(200)]
    content = png(samples, 8, RGB, before=many)
    yield Dirty(name="bomb-200-ztxt.png", content=content, verdicts=refused)
    content = header(40, 28, 8, RGB) + chunk(b"IDAT", zeros) + chunk(b"IEND", b"")
    # All rows are there and are black; what follows them in the stream need not be unpacked.
    yield Dirty(name="bomb-idat.png", content=content, verdicts=refused | ACCEPTED)


def _byte_bombs() -> Iterator[Dirty]:
    yield Dirty(
        name="bytes-1000-scans.jpg", content=scan_bomb(6300, 1000), verdicts=TOO_LARGE | BROKEN
    )
    jpeg = encoded(noise("bytes"), "JPEG")
    long = jpeg + bytes(LIMIT_BYTES + 1 - len(jpeg))
    yield Dirty(name="bytes-jpeg-and-zeros.jpg", content=long, verdicts=TOO_LARGE)
    segments = [segment(0xEF, bytes(65_000))] * 200
    yield Dirty(
        name="bytes-200-segments.jpg", content=with_segments(jpeg, *segments), verdicts=ACCEPTED
    )


def _sizes() -> Iterator[Dirty]:
    for sizes, verdicts in ((SIDES + STRIPS, BAD_SIZE), (ALLOWED, ACCEPTED)):
        for width, height in sizes:
            for kind in ("PNG", "JPEG", "BMP") if width * height < 10_000 else ("PNG",):
                name = f"size-{width}x{height}.{kind.lower()}"
                content = encoded(noise(name, width, height), kind)
                yield Dirty(name=name, content=content, verdicts=verdicts)


def _no_size() -> Iterator[Dirty]:
    """Sides of nothing, which no format allows."""
    for width, height in ((0, 0), (0, 40), (40, 0)):
        for suffix, content in {
            "png": header(width, height, 8, RGB) + chunk(b"IEND", b""),
            "jpg": jpeg_of_size(width, height),
            "gif": gif_of_size(width, height),
            "bmp": bmp([bytes(100)], 24, width=width, height=height),
        }.items():
            name = f"no-size-{width}x{height}.{suffix}"
            yield Dirty(name=name, content=content, verdicts=BAD_SIZE | BROKEN)
    for width, height in ((-40, 30), (40, -(2**31) + 1)):
        content = bmp([bytes(5000)], 24, width=width, height=height)
        yield Dirty(
            name=f"negative-{width}x{height}.bmp",
            content=content,
            verdicts=BAD_SIZE | BROKEN | TOO_LARGE,
        )
