"""WEBP, GIF and BMP files of every kind; BMP by hand, since Pillow writes only a few."""

import struct
from collections.abc import Iterator

import numpy as np
from imaging.dirty import (
    ACCEPTED,
    HEIGHT,
    WIDTH,
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
from PIL import Image

LOSSY = 14
"""How far WEBP of quality 95 may move a flat colour; its chroma is always halved."""
ALPHAS = (255, 0, 255, 128)


def files() -> Iterator[Dirty]:
    """Yield the WEBP, GIF and BMP files."""
    yield from _webps()
    yield from _gifs()
    yield from _bmps()


def with_alpha(corners: Corners) -> Image.Image:
    """Return an RGBA picture, hidden colours included."""
    rows = [(*c, a) for c, a in zip(corners, ALPHAS, strict=True)]
    return Image.fromarray(quarters(np.array(rows)).astype(np.uint8), "RGBA")


def _laid(corners: Corners) -> Corners:
    return tuple(composited(c, a) for c, a in zip(corners, ALPHAS, strict=True))  # type: ignore[return-value]


def _webps() -> Iterator[Dirty]:
    for kind, options, within in (
        ("lossy", {"quality": 95}, LOSSY),
        ("lossy-fast", {"quality": 95, "method": 0}, LOSSY),
        ("lossless", {"lossless": True}, 0),
        ("icc", {"lossless": True, "icc_profile": bytes(65_000)}, 0),
        ("xmp", {"lossless": True, "xmp": b"<x:xmpmeta/>"}, 0),
    ):
        name = f"webp-{kind}.webp"
        content = encoded(picture(colours(name)), "WEBP", **options)
        yield shown(name, content, colours(name), within=within)
        yield shown(f"trailing-{name}", content + b"tail" * 9, colours(name), within=within)
        name = f"webp-{kind}-alpha.webp"
        content = encoded(with_alpha(colours(name)), "WEBP", exact=True, **options)
        yield shown(name, content, _laid(colours(name)), within=max(within, 1))
    for quality in (0, 10, 50, 100):
        name = f"webp-quality-{quality}.webp"
        content = encoded(noise(name), "WEBP", quality=quality)
        yield Dirty(name=name, content=content, verdicts=ACCEPTED, size=(WIDTH, HEIGHT))
    for lossless in (False, True):
        name = f"webp-animated{'-lossless' * lossless}.webp"
        frames = [picture(colours(name)), noise(name)]
        content = encoded(
            frames[0],
            "WEBP",
            save_all=True,
            append_images=frames[1:],
            lossless=lossless,
            quality=95,
        )
        yield shown(name, content, colours(name), within=0 if lossless else LOSSY)
    yield from oriented("WEBP", "webp", within=0, lossless=True)


def _gifs() -> Iterator[Dirty]:
    for interlaced in (0, 1):
        name = f"gif{'-interlaced' * interlaced}.gif"
        content = encoded(picture(colours(name)).quantize(16), "GIF", interlace=interlaced)
        yield shown(name, content, colours(name))
        yield shown(f"trailing-{name}", content + bytes(range(99)), colours(name))
        yield shown(f"gif87{name[3:]}", b"GIF87a" + content[6:], colours(name))
    for n_colours in (2, 4, 16, 128, 256):
        name = f"gif-{n_colours}-colours.gif"
        content = encoded(noise(name).quantize(n_colours), "GIF")
        yield Dirty(name=name, content=content, verdicts=ACCEPTED, size=(WIDTH, HEIGHT))
    for clear in range(4):
        name = f"gif-transparent-{clear}.gif"
        corners = colours(name)
        image = Image.fromarray(quarters(np.arange(4)).astype(np.uint8), "P")
        image.putpalette([v for colour in corners for v in colour])
        seen = tuple((255,) * 3 if k == clear else corners[k] for k in range(4))
        content = encoded(image, "GIF", transparency=clear)
        yield shown(name, content, seen)  # type: ignore[arg-type]
    for n_frames in (2, 3, 300):
        name = f"gif-{n_frames}-frames.gif"
        frames = [
            picture(colours(name)),
            *(noise(f"{name}{k}", 10, 10) for k in range(n_frames - 1)),
        ]
        frames = [frame.resize((WIDTH, HEIGHT)) for frame in frames]
        content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
        yield shown(name, content, colours(name))
    gray = picture(tuple((c[0],) * 3 for c in colours("gif-gray")))  # type: ignore[arg-type]
    grays: Corners = tuple((c[0],) * 3 for c in colours("gif-gray"))  # type: ignore[assignment]
    yield shown("gif-gray.gif", encoded(gray.convert("L"), "GIF"), grays)
    name = "gif-comment.gif"
    content = encoded(picture(colours(name)).quantize(16), "GIF", comment=b"c" * 60_000)
    yield shown(name, content, colours(name))


def bmp(
    rows: list[bytes],
    bits: int,
    *,
    palette: bytes = b"",
    masks: bytes = b"",
    compression: int = 0,
    top_down: bool = False,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> bytes:
    """Return a file with a BITMAPINFOHEADER; rows from the bottom, or from the top."""
    data = b"".join(rows)
    start = 14 + 40 + len(masks) + len(palette)
    n_colours = len(palette) // 4
    info = struct.pack(
        *("<IiiHHIIiiII", 40, width, -height if top_down else height, 1, bits, compression),
        *(len(data), 2835, 2835, n_colours, 0),
    )
    return (
        struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start)
        + info
        + masks
        + palette
        + data
    )


def _padded(row: bytes) -> bytes:
    return row + bytes(-len(row) % 4)


def _table(corners: Corners) -> bytes:
    return b"".join(bytes((b, g, r, 0)) for r, g, b in corners)


def _indexed_rows(bits: int) -> list[bytes]:
    """Return the rows of four palette entries as quarters, from the bottom."""
    rows = quarters(np.arange(4))[::-1].astype(np.uint8)
    packed = np.unpackbits(rows[..., None], axis=2)[..., 8 - bits :].reshape(HEIGHT, -1)
    return [_padded(np.packbits(row).tobytes()) for row in packed]


def _bmps() -> Iterator[Dirty]:
    for bits in (4, 8):
        name = f"bmp-{bits}.bmp"
        table = _table(colours(name))
        yield shown(name, bmp(_indexed_rows(bits), bits, palette=table), colours(name))
    name = "bmp-1.bmp"
    two = colours(name)[:2]
    rows = quarters(np.array([0, 1, 1, 0]))[::-1].astype(np.uint8)
    packed = [_padded(np.packbits(row).tobytes()) for row in rows]
    table = b"".join(bytes((b, g, r, 0)) for r, g, b in two)
    yield shown(name, bmp(packed, 1, palette=table), (two[0], two[1], two[1], two[0]))
    yield from _true_colour_bmps()
    name = "bmp-rle8.bmp"
    half, rows8 = WIDTH // 2, []
    for left, right in [(2, 3)] * (HEIGHT // 2) + [(0, 1)] * (HEIGHT // 2):
        rows8.append(bytes((half, left, half, right, 0, 0)))
    rows8.append(b"\0\1")
    yield shown(name, bmp(rows8, 8, palette=_table(colours(name)), compression=1), colours(name))
    name = "bmp-os2.bmp"
    body = bmp(_bgr_rows(colours(name)), 24)[54:]
    core = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24)
    start = struct.pack("<2sIHHI", b"BM", 26 + len(body), 0, 0, 26)
    yield shown(name, start + core + body, colours(name))


def _bgr_rows(corners: Corners) -> list[bytes]:
    return [_padded(row[:, ::-1].tobytes()) for row in quarters(corners)[::-1].astype(np.uint8)]


def _true_colour_bmps() -> Iterator[Dirty]:
    name = "bmp-24.bmp"
    yield shown(name, bmp(_bgr_rows(colours(name)), 24), colours(name))
    name = "bmp-24-trailing.bmp"
    yield shown(name, bmp(_bgr_rows(colours(name)), 24) + b"tail" * 50, colours(name))
    name = "bmp-24-top-down.bmp"
    yield shown(name, bmp(_bgr_rows(colours(name))[::-1], 24, top_down=True), colours(name))
    name = "bmp-32.bmp"
    samples = quarters(colours(name))[::-1].astype(np.uint8)
    rows = [
        np.dstack([row[None, :, ::-1], np.zeros((1, WIDTH, 1), np.uint8)]).tobytes()
        for row in samples
    ]
    yield shown(name, bmp(rows, 32), colours(name))
    name = "bmp-555.bmp"
    fine = quarters(colours(name))[::-1].astype(np.uint16)
    words = [((row >> 3) * (1 << 10, 1 << 5, 1)).sum(1).astype("<u2").tobytes() for row in fine]
    yield shown(name, bmp([_padded(row) for row in words], 16), colours(name), within=8)
    name = "bmp-565.bmp"
    fine = quarters(colours(name))[::-1].astype(np.uint16)
    words = [
        ((row >> (3, 2, 3)) * (1 << 11, 1 << 5, 1)).sum(1).astype("<u2").tobytes() for row in fine
    ]
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    content = bmp([_padded(row) for row in words], 16, masks=masks, compression=3)
    yield shown(name, content, colours(name), within=8)
