"""Whether a PNG file holds as many pixels as its header promises; Pillow fills up with black."""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE_BYTES = 8
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel, by colour type (PNG specification, third edition, table 9)."""
PLAIN = ((0, 0, 1, 1),)
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column, first row, and steps to the next of each pass (section 8.1)."""
STEP_BYTES = 1 << 20


def lacks_pixels(content: bytes) -> bool:
    """Tell whether the compressed data of a readable PNG file ends before its last row.

    Bounded memory: what is inflated is counted, not held.
    """
    chunks = list(_chunks(content))
    header = next(body for kind, body in chunks if kind == b"IHDR")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[:13])
    expected = _data_bytes(width, height, depth * CHANNELS[colour], interlaced=bool(interlaced))
    return _inflated_bytes([b for kind, b in chunks if kind == b"IDAT"], expected) < expected


def bit_depth(content: bytes) -> int:
    """Return the bits per sample of a readable PNG file, whose first chunk is its header."""
    return content[24]


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, place = memoryview(content), SIGNATURE_BYTES
    while place + 8 <= len(content):
        (n_bytes,) = struct.unpack(">I", view[place : place + 4])
        yield bytes(view[place + 4 : place + 8]), view[place + 8 : place + 8 + n_bytes]
        place += 12 + n_bytes


def _data_bytes(width: int, height: int, bits_per_pixel: int, *, interlaced: bool) -> int:
    """Return the size of the data before compression: rows, each with a filter byte."""
    total = 0
    for left, top, across, down in ADAM7 if interlaced else PLAIN:
        columns = max(0, -(-(width - left) // across))
        rows = max(0, -(-(height - top) // down))
        total += rows * (1 + -(-columns * bits_per_pixel // 8)) if columns else 0
    return total


def _inflated_bytes(parts: list[memoryview], enough: int) -> int:
    """Count the bytes that come out of a zlib stream, up to `enough`."""
    stream, total = zlib.decompressobj(), 0
    for part in parts:
        waiting: bytes | memoryview = part
        while waiting and not stream.eof and total < enough:
            total += len(stream.decompress(waiting, STEP_BYTES))
            waiting = stream.unconsumed_tail
    return total
