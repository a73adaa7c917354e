"""PNG files whose data ends early, which Pillow fills up with black."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import ImageError
from pipeline.imaging.decode import decode
from pipeline.imaging.png import lacks_pixels


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(data: bytes, *, size=(8, 8), depth=8, colour=2, interlaced=0, parts=1) -> bytes:
    packed = zlib.compress(data)
    step = -(-len(packed) // parts)
    pieces = [packed[k : k + step] for k in range(0, len(packed), step)]
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)
    chunks = [(b"IHDR", header), *((b"IDAT", p) for p in pieces), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


@pytest.mark.parametrize(
    ("options", "n_bytes"),
    [
        ({"colour": 2}, 8 * (1 + 8 * 3)),
        ({"colour": 0, "depth": 1}, 8 * (1 + 1)),
        ({"colour": 0, "depth": 1, "size": (9, 8)}, 8 * (1 + 2)),
        ({"colour": 6, "depth": 16}, 8 * (1 + 8 * 8)),
        # Passes of 1x1, 1x1, 2x1, 2x2, 4x2, 4x4 and 8x4 pixels, each row with a filter byte.
        ({"colour": 2, "interlaced": 1}, 4 + 4 + 7 + 14 + 26 + 52 + 100),
        # One column: the second, fourth and sixth pass are empty, and have no rows.
        ({"colour": 0, "interlaced": 1, "size": (1, 8)}, 2 + 2 + 4 + 8),
    ],
)
def test_a_file_is_whole_with_as_many_bytes_as_the_specification_says(options, n_bytes):
    assert not lacks_pixels(png(bytes(n_bytes), **options))
    assert lacks_pixels(png(bytes(n_bytes - 1), **options))


def test_data_in_many_chunks_is_one_stream():
    noise = np.random.default_rng(0).bytes(8 * 24)
    rows = b"".join(b"\0" + noise[k : k + 24] for k in range(0, len(noise), 24))
    assert not lacks_pixels(png(rows, parts=9))


def test_a_png_that_ends_early_is_truncated():
    with pytest.raises(ImageError, match="truncated: the data ends before the last row"):
        decode(png(bytes(7 * 25)))
    assert decode(png(bytes(8 * 25))).size == (8, 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_what_pillow_writes_is_whole(mode):
    buffer = io.BytesIO()
    Image.new(mode, (37, 23)).save(buffer, "PNG")
    assert not lacks_pixels(buffer.getvalue())
