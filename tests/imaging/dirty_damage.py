"""Whole files that were cut, or in which bits were flipped or zeroed."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from imaging.dirty import ANY, BROKEN, DAMAGED, TRUNCATED, Dirty, encoded, noise, rng
from imaging.dirty_jpegs import scan_start
from imaging.dirty_pngs import RGB, chunk, header, png

CUTS = 12
FLIPS = 10
SIZE = 60, 44


@dataclass(frozen=True, slots=True)
class Whole:
    """A sound file, and where its pixels lie in it."""

    name: str
    content: bytes
    start: int
    stop: int
    """Without these bytes the picture is not whole; what follows is an end mark."""


def files() -> Iterator[Dirty]:
    """Yield the damaged files."""
    for whole in _wholes():
        yield from _cut(whole)
        yield from _flipped(whole)
        yield from _zeroed(whole)
    yield from _bad_checksums()
    yield from _odd_pngs()


def _wholes() -> list[Whole]:
    image = noise("damage", *SIZE)
    gif = encoded(image.quantize(64), "GIF")
    # Magic and screen, 64 colours, image descriptor, first code size.
    gif_start = gif.index(b",\0\0\0\0" + struct.pack("<HH", *SIZE)) + 11
    png_content = encoded(image, "PNG")
    lossy, lossless = encoded(image, "WEBP"), encoded(image, "WEBP", lossless=True)
    baseline = encoded(image, "JPEG", quality=90)
    progressive = encoded(image, "JPEG", quality=90, progressive=True)
    bmp_content = encoded(image, "BMP")
    return [
        Whole("baseline.jpg", baseline, scan_start(baseline), len(baseline) - 4),
        # The first scans of a progressive file are a whole picture, a coarse one.
        Whole("progressive.jpg", progressive, scan_start(progressive), len(progressive) - 4),
        Whole("plain.png", png_content, png_content.index(b"IDAT") + 4, len(png_content) - 20),
        Whole("lossy.webp", lossy, 30, len(lossy) - 8),
        Whole("lossless.webp", lossless, 25, len(lossless) - 8),
        Whole("plain.gif", gif, gif_start, len(gif) - 6),
        Whole("plain.bmp", bmp_content, 54, len(bmp_content)),
    ]


def _cut(whole: Whole) -> Iterator[Dirty]:
    for length in sorted({3, 10, 20, whole.start // 2, whole.start - 1}):
        yield Dirty(
            name=f"cut-header-{length}-{whole.name}",
            content=whole.content[:length],
            verdicts=BROKEN,
        )
    for length in np.linspace(whole.start + 1, whole.stop - 1, CUTS).astype(int).tolist():
        yield Dirty(
            name=f"cut-{length}-{whole.name}", content=whole.content[:length], verdicts=TRUNCATED
        )


def _flipped(whole: Whole) -> Iterator[Dirty]:
    random = rng(whole.name)
    places = {
        "header": random.integers(0, whole.start, FLIPS),
        "data": random.integers(whole.start, whole.stop, FLIPS),
    }
    for part, positions in places.items():
        for number, position in enumerate(positions):
            content = bytearray(whole.content)
            content[position] ^= 1 << random.integers(8)
            yield Dirty(
                name=f"flipped-{part}-{number}-{whole.name}",
                content=bytes(content),
                verdicts=ANY if part == "header" else DAMAGED,
            )


def _zeroed(whole: Whole) -> Iterator[Dirty]:
    middle = (whole.start + whole.stop) // 2
    for half, start, stop in (("first", whole.start, middle), ("second", middle, whole.stop)):
        content = whole.content[:start] + bytes(stop - start) + whole.content[stop:]
        yield Dirty(name=f"zeroed-{half}-half-{whole.name}", content=content, verdicts=DAMAGED)


def _bad_checksums() -> Iterator[Dirty]:
    """A critical chunk with a wrong checksum is damaged (PNG specification, 13.2)."""
    samples = np.asarray(noise("checksum"))
    content = png(samples, 8, RGB, before=[(b"tEXt", b"Comment\0x")])
    for kind, verdicts in (
        (b"IHDR", BROKEN),
        (b"tEXt", DAMAGED | BROKEN),
        (b"IDAT", DAMAGED),  # the pixels have a checksum of their own, and it holds
        (b"IEND", DAMAGED),
    ):
        start = content.index(kind)
        end = start + 4 + struct.unpack(">I", content[start - 4 : start])[0]
        damaged = bytearray(content)
        damaged[end] ^= 1
        yield Dirty(name=f"bad-crc-{kind.decode()}.png", content=bytes(damaged), verdicts=verdicts)
    start = content.index(b"IDAT")
    damaged = bytearray(content)
    damaged[start + 4 + struct.unpack(">I", content[start - 4 : start])[0] - 1] ^= 1
    yield Dirty(name="bad-adler.png", content=bytes(damaged), verdicts=TRUNCATED)


def _odd_pngs() -> Iterator[Dirty]:
    samples = np.asarray(noise("odd"))
    whole = png(samples, 8, RGB)
    body = whole[len(header(*noise("odd").size, 8, RGB)) :]
    width, height = noise("odd").size
    for name, content in {
        "no-idat": header(width, height, 8, RGB) + chunk(b"IEND", b""),
        "no-iend": whole[: -len(chunk(b"IEND", b""))],
        "no-ihdr": whole[:8] + body,
        "two-ihdr": header(width, height, 8, RGB) + whole[8:],
        "empty-idat": header(width, height, 8, RGB) + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
        "idat-not-zlib": header(width, height, 8, RGB)
        + chunk(b"IDAT", b"not zlib")
        + chunk(b"IEND", b""),
        "palette-missing": header(width, height, 8, 3) + body,
        "bit-depth-3": header(width, height, 3, RGB) + body,
        "colour-type-5": header(width, height, 8, 5) + body,
        "rgb-of-4-bits": header(width, height, 4, RGB) + body,
        "taller-than-data": header(width, height * 2, 8, RGB) + body,
        "chunk-longer-than-file": whole[:33] + b"\x7f\xff\xff\xffIDAT" + whole[41:],
    }.items():
        lenient = name in ("no-iend", "two-ihdr", "chunk-longer-than-file")  # all pixels are there
        yield Dirty(
            name=f"png-{name}.png",
            content=content,
            verdicts=BROKEN | DAMAGED if lenient else BROKEN,
        )
