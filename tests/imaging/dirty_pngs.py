"""PNG files of every colour type and depth, written chunk by chunk (PNG specification, 3rd ed.)."""

import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
from imaging.dirty import (
    ACCEPTED,
    Corners,
    Dirty,
    colours,
    composited,
    encoded,
    noise,
    oriented,
    picture,
    quarters,
    shown,
)
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
# Section 8.2: first column, first row, step across, step down of Adam7's passes.
ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
Chunk = tuple[bytes, bytes]


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return one chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int, height: int, depth: int, colour: int, *, interlaced: bool = False) -> bytes:
    """Return the signature and IHDR."""
    body = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return SIGNATURE + chunk(b"IHDR", body)


def png(
    samples: NDArray[np.generic],
    depth: int,
    colour: int,
    *,
    interlaced: bool = False,
    before: Iterable[Chunk] = (),
    after: Iterable[Chunk] = (),
    idat_bytes: int = 1 << 16,
) -> bytes:
    """Return a file of (H, W) or (H, W, channels) samples; `before` and `after` the IDATs."""
    samples = samples.reshape(*samples.shape[:2], -1)
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    data = zlib.compress(b"".join(_scanlines(samples[y::v, x::h], depth) for x, y, h, v in passes))
    parts = [data[start : start + idat_bytes] for start in range(0, len(data), idat_bytes)]
    height, width = samples.shape[:2]
    chunks = [*before, *((b"IDAT", part) for part in parts), *after, (b"IEND", b"")]
    start = header(width, height, depth, colour, interlaced=interlaced)
    return start + b"".join(chunk(*each) for each in chunks)


def _scanlines(samples: NDArray[np.generic], depth: int) -> bytes:
    """Return filter type 0 and the packed samples of each row."""
    if samples.size == 0:
        return b""
    return b"".join(b"\0" + _packed(row.ravel(), depth) for row in samples)


def _packed(row: NDArray[np.generic], depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
    return np.packbits(bits).tobytes()


def files() -> Iterator[Dirty]:
    """Yield the PNG files."""
    for interlaced in (False, True):
        yield from _gray(interlaced)
        yield from _colour(interlaced)
        yield from _palette(interlaced)
        yield from _alpha(interlaced)
    yield from oriented("PNG", "png", within=0)
    yield from _furnished()


def _mark(interlaced: bool) -> str:
    return "-interlaced" if interlaced else ""


def _gray_corners(values: Iterable[int], most: int) -> Corners:
    return tuple((round(v * 255 / most),) * 3 for v in values)  # type: ignore[return-value]


def _gray(interlaced: bool) -> Iterator[Dirty]:
    white = (255, 255, 255)
    for depth in (1, 2, 4, 8, 16):
        most = (1 << depth) - 1
        values = (0, most // 3, most - most // 3, most) if depth > 1 else (0, 1, 1, 0)
        samples, corners = quarters(np.array(values)), _gray_corners(values, most)
        name = f"gray-{depth}{_mark(interlaced)}"
        yield shown(f"{name}.png", png(samples, depth, GRAY, interlaced=interlaced), corners)
        keyed = [(b"tRNS", struct.pack(">H", values[0]))]
        content = png(samples, depth, GRAY, interlaced=interlaced, before=keyed)
        clear = tuple(white if v == values[0] else c for v, c in zip(values, corners, strict=True))
        yield shown(f"{name}-trns.png", content, clear)  # type: ignore[arg-type]


def _colour(interlaced: bool) -> Iterator[Dirty]:
    for depth in (8, 16):
        name = f"rgb-{depth}{_mark(interlaced)}"
        corners, scale = colours(name), 257 if depth == 16 else 1
        samples = quarters(corners).astype(int) * scale
        yield shown(f"{name}.png", png(samples, depth, RGB, interlaced=interlaced), corners)
        key = struct.pack(">HHH", *(v * scale for v in corners[1]))
        content = png(samples, depth, RGB, interlaced=interlaced, before=[(b"tRNS", key)])
        clear = (corners[0], (255, 255, 255), *corners[2:])
        yield shown(f"{name}-trns.png", content, clear)  # type: ignore[arg-type]


def _palette(interlaced: bool) -> Iterator[Dirty]:
    for depth in (1, 2, 4, 8):
        name = f"palette-{depth}{_mark(interlaced)}"
        corners = colours(name)
        indices = (0, 1, 2, 3) if depth > 1 else (0, 1, 1, 0)
        table = bytes(v for colour in corners[: 2 if depth == 1 else 4] for v in colour)
        seen: Corners = tuple(corners[k] for k in indices)  # type: ignore[assignment]
        samples = quarters(np.array(indices))
        before = [(b"PLTE", table)]
        content = png(samples, depth, PALETTE, interlaced=interlaced, before=before)
        yield shown(f"{name}.png", content, seen)
        alphas = (0, 128, 255, 255)
        before.append((b"tRNS", bytes(alphas[:2])))
        content = png(samples, depth, PALETTE, interlaced=interlaced, before=before)
        laid = tuple(composited(corners[k], alphas[k]) for k in indices)
        yield shown(f"{name}-trns.png", content, laid, within=1)  # type: ignore[arg-type]


def _alpha(interlaced: bool) -> Iterator[Dirty]:
    alphas = (255, 0, 128, 255)
    for depth in (8, 16):
        scale = 257 if depth == 16 else 1
        for kind, colour in (("la", GRAY_ALPHA), ("rgba", RGBA)):
            name = f"{kind}-{depth}{_mark(interlaced)}"
            corners = colours(name)
            if colour == GRAY_ALPHA:
                corners = tuple((c[0],) * 3 for c in corners)  # type: ignore[assignment]
            channels = 1 if colour == GRAY_ALPHA else 3
            rows = [(*c[:channels], a) for c, a in zip(corners, alphas, strict=True)]
            samples = quarters(np.array(rows)).astype(int) * scale
            laid = tuple(composited(c, a) for c, a in zip(corners, alphas, strict=True))
            content = png(samples, depth, colour, interlaced=interlaced)
            yield shown(f"{name}.png", content, laid, within=1)  # type: ignore[arg-type]


def _furnished() -> Iterator[Dirty]:
    """Chunks beside the pixels, which must not keep an image out."""
    extras: dict[str, dict[str, object]] = {
        "gamma": {"before": [(b"gAMA", struct.pack(">I", 45455))]},
        "srgb": {"before": [(b"sRGB", b"\0")]},
        "background": {"before": [(b"bKGD", struct.pack(">HHH", 0, 0, 0))]},
        "density": {"before": [(b"pHYs", struct.pack(">IIB", 2835, 2835, 1))]},
        "text": {"before": [(b"tEXt", b"Comment\0" + b"x" * 65_000)]},
        "text-after": {"after": [(b"tEXt", b"Comment\0after the pixels")]},
        "ztxt": {"before": [(b"zTXt", b"Comment\0\0" + zlib.compress(b"y" * 1000))]},
        "unknown-chunk": {"before": [(b"prVt", b"\0" * 50)]},
        "idat-of-1-byte": {"idat_bytes": 1},
        "exif-broken": {"before": [(b"eXIf", b"MM\0*\xff\xff\xff\xff")]},
        "icc-64k": {"before": [(b"iCCP", b"p\0\0" + zlib.compress(noise("icc").tobytes() * 20))]},
    }
    for kind, options in extras.items():
        name = f"png-{kind}.png"
        samples = quarters(colours(name))
        yield shown(name, png(samples, 8, RGB, **options), colours(name))  # type: ignore[arg-type]
    name = "png-trailing-garbage.png"
    yield shown(name, encoded(picture(colours(name)), "PNG") + bytes(range(256)), colours(name))
    name = "animated.png"
    frames = [picture(colours(name)), noise(name)]
    content = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50)
    yield shown(name, content, colours(name))
    many = [(b"tEXt", b"k%d\0v" % k) for k in range(20_000)]
    content = png(quarters(colours("many")), 8, RGB, before=many)
    yield Dirty(name="png-20000-chunks.png", content=content, verdicts=ACCEPTED)
