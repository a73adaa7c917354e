"""JPEG files of every kind that cameras, scanners and web sites write."""

import struct
from collections.abc import Iterator

import numpy as np
from imaging.dirty import (
    ACCEPTED,
    BROKEN,
    HEIGHT,
    NOT_AN_IMAGE,
    WIDTH,
    Colour,
    Corners,
    Dirty,
    colours,
    encoded,
    noise,
    oriented,
    picture,
    quarters,
    shown,
)
from PIL import Image

CLOSE = 8
"""How far JPEG of quality 95 and its colour conversion may move a flat colour."""
SUBSAMPLINGS = {"444": 0, "422": 1, "420": 2}


def segment(marker: int, body: bytes) -> bytes:
    """Return one marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(content: bytes, *segments: bytes) -> bytes:
    """Put segments behind the start of an image."""
    return content[:2] + b"".join(segments) + content[2:]


def scan_start(content: bytes) -> int:
    """Return where the entropy-coded data of the first scan begin."""
    start = content.index(b"\xff\xda")
    return start + 2 + struct.unpack(">H", content[start + 2 : start + 4])[0]


def exif_segment(body: bytes) -> bytes:
    """Return an EXIF segment of any bytes."""
    return segment(0xE1, b"Exif\0\0" + body)


def orientation_exif(value: int, *, kind: int = 3) -> bytes:
    """Return a TIFF block with tag 274 of any value and field type."""
    entry = struct.pack(">HHIHH", 274, kind, 1, value, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)


def files() -> Iterator[Dirty]:
    """Yield the JPEG files."""
    yield from _codings()
    yield from _gray_and_cmyk()
    yield from oriented("JPEG", "jpg", within=CLOSE, quality=95, subsampling=0)
    yield from _furnished()
    yield from _exif()
    yield from _unreadable()


def _codings() -> Iterator[Dirty]:
    for progressive in (False, True):
        for subsampling, number in SUBSAMPLINGS.items():
            for restart in (0, 1):
                coding = "progressive" if progressive else "baseline"
                name = f"{coding}-{subsampling}{'-restart' * restart}.jpg"
                content = encoded(
                    picture(colours(name)),
                    "JPEG",
                    quality=95,
                    progressive=progressive,
                    subsampling=number,
                    restart_marker_blocks=restart,
                )
                yield shown(name, content, colours(name), within=CLOSE)
    for quality in (1, 10, 30, 60, 100):
        name = f"quality-{quality}.jpg"
        content = encoded(picture(colours(name)), "JPEG", quality=quality)
        yield Dirty(name=name, content=content, verdicts=ACCEPTED, size=(WIDTH, HEIGHT))
    for width, height in ((8, 8), (9, 11), (15, 17), (17, 15), (33, 8), (64, 64), (257, 100)):
        name = f"odd-{width}x{height}.jpg"
        content = encoded(noise(name, width, height), "JPEG")
        yield Dirty(name=name, content=content, verdicts=ACCEPTED, size=(width, height))
    name = "adobe-rgb-components.jpg"
    content = encoded(picture(colours(name)), "JPEG", quality=95, keep_rgb=True)
    yield shown(name, content, colours(name), within=CLOSE)


def _inks(colour: Colour) -> tuple[int, int, int, int]:
    """Return the inks that show a colour when no black is used."""
    return 255 - colour[0], 255 - colour[1], 255 - colour[2], 0


def _gray_and_cmyk() -> Iterator[Dirty]:
    for progressive in (False, True):
        mark = "-progressive" if progressive else ""
        name = f"gray{mark}.jpg"
        grays: Corners = tuple((c[0],) * 3 for c in colours(name))  # type: ignore[assignment]
        content = encoded(picture(grays).convert("L"), "JPEG", quality=95, progressive=progressive)
        yield shown(name, content, grays, within=CLOSE)
        name = f"cmyk-adobe-inverted{mark}.jpg"
        inks = quarters(np.array([_inks(c) for c in colours(name)])).astype(np.uint8)
        image = Image.fromarray(inks, "CMYK")
        content = encoded(image, "JPEG", quality=95, subsampling=0, progressive=progressive)
        yield shown(name, content, colours(name), within=CLOSE)
        name = f"ycck-adobe{mark}.jpg"
        content = _ycck(colours(name), progressive=progressive)
        yield shown(name, content, colours(name), within=CLOSE + 2)


def _ycck(corners: Corners, *, progressive: bool) -> bytes:
    """Return a file whose Adobe segment says YCCK (transform 2), as Photoshop writes.

    Adobe's files store inverted inks, 255 - C = R, and YCCK is YCC of the inks as 255 - R: the
    stored planes are Y, Cb, Cr of (255 - R, 255 - G, 255 - B), and 255 for no black.
    Source: libjpeg, jdcolor.c, ycck_cmyk_convert.
    """
    opposite: Corners = tuple(tuple(255 - v for v in c) for c in corners)  # type: ignore[assignment]
    ycc = np.asarray(picture(opposite).convert("YCbCr"))
    planes = np.dstack([255 - ycc, np.zeros((HEIGHT, WIDTH), np.uint8)])  # Pillow inverts them
    content = encoded(
        Image.fromarray(planes, "CMYK"), "JPEG", quality=95, subsampling=0, progressive=progressive
    )
    adobe = content.index(b"Adobe")
    return content[: adobe + 11] + b"\2" + content[adobe + 12 :]


def _furnished() -> Iterator[Dirty]:
    """Segments beside the pixels, which must not keep an image out."""
    extras = {
        "icc-200k": [
            segment(0xE2, b"ICC_PROFILE\0" + bytes((k, 4)) + bytes(50_000)) for k in (1, 2, 3, 4)
        ],
        "icc-broken": [segment(0xE2, b"ICC_PROFILE\0\x01\x09none of nine")],
        "exif-64k": [exif_segment(orientation_exif(1) + bytes(65_000))],
        "comment-64k": [segment(0xFE, b"c" * 65_533)],
        "xmp": [segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")],
        "photoshop": [segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\0")],
        "100-segments": [segment(0xEF, bytes(1000)) for _ in range(100)],
        "fill-bytes": [b"\xff" * 40 + segment(0xFE, b"filled")],
    }
    for kind, segments in extras.items():
        name = f"jpeg-{kind}.jpg"
        content = encoded(picture(colours(name)), "JPEG", quality=95, subsampling=0)
        yield shown(name, with_segments(content, *segments), colours(name), within=CLOSE)
    for kind, tail in {
        "garbage": noise("tail").tobytes(),
        "zeros": bytes(5000),
        "zip": b"PK\x03\x04" + bytes(100),
        "html": b"<script>alert(1)</script>",
        "second-jpeg": encoded(noise("second"), "JPEG"),
    }.items():
        name = f"jpeg-then-{kind}.jpg"
        content = encoded(picture(colours(name)), "JPEG", quality=95, subsampling=0)
        yield shown(name, content + tail, colours(name), within=CLOSE)
    for suffix in ("mpo", "jpg"):
        name = f"two-views.{suffix}"
        views = [picture(colours(name)), noise(name)]
        content = encoded(
            views[0], "MPO", save_all=True, append_images=views[1:], quality=95, subsampling=0
        )
        yield shown(name, content, colours(name), within=CLOSE)


def _exif() -> Iterator[Dirty]:
    """EXIF that is wrong: the picture is shown as stored."""
    for kind, body in {
        "empty": b"",
        "zeros": bytes(200),
        "noise": noise("exif").tobytes()[:400],
        "text": b"not a TIFF header at all",
        "orientation-0": orientation_exif(0),
        "orientation-9": orientation_exif(9),
        "orientation-65535": orientation_exif(65535),
        "orientation-text": orientation_exif(6, kind=2),
        "orientation-float": orientation_exif(6, kind=11),
        "orientation-unknown-type": orientation_exif(6, kind=99),
        "offset-outside": b"MM\0*\xff\xff\xff\xf0",
        "offset-to-itself": b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
        "many-tags": b"MM\0*\0\0\0\x08\xff\xff" + bytes(600),
        "cut": orientation_exif(6)[:14],
    }.items():
        name = f"exif-{kind}.jpg"
        content = encoded(picture(colours(name)), "JPEG", quality=95, subsampling=0)
        # A type that EXIF does not allow for tag 274 may be read as what it says.
        upright = not kind.startswith("orientation-") or kind[12].isdigit()
        yield Dirty(
            name=name,
            content=with_segments(content, exif_segment(body)),
            verdicts=ACCEPTED,
            corners=colours(name) if upright else None,
            within=CLOSE,
        )


def _unreadable() -> Iterator[Dirty]:
    """Codings that browsers do not show either, and JPEG data without a beginning or an end."""
    content = encoded(noise("sof"), "JPEG")
    frame = content.index(b"\xff\xc0")
    for marker, kind in ((0xC3, "lossless"), (0xC5, "hierarchical"), (0xCB, "lossless-arithmetic")):
        changed = content[: frame + 1] + bytes([marker]) + content[frame + 2 :]
        yield Dirty(name=f"jpeg-{kind}.jpg", content=changed, verdicts=BROKEN)
    for bits in (0, 7, 12, 16, 255):
        changed = content[: frame + 4] + bytes([bits]) + content[frame + 5 :]
        yield Dirty(name=f"jpeg-of-{bits}-bits.jpg", content=changed, verdicts=BROKEN)
    for n_components in (0, 2, 5, 255):
        changed = content[: frame + 9] + bytes([n_components]) + content[frame + 10 :]
        yield Dirty(name=f"jpeg-of-{n_components}-components.jpg", content=changed, verdicts=BROKEN)
    headless = {"garbage": b"garbage", "newline": b"\n", "bom": b"\xef\xbb\xbf", "zero": b"\0"}
    for kind, start in headless.items():
        yield Dirty(name=f"jpeg-after-{kind}.jpg", content=start + content, verdicts=NOT_AN_IMAGE)
    start = scan_start(content)
    yield Dirty(
        name="jpeg-no-scan.jpg", content=content[: content.index(b"\xff\xda")], verdicts=BROKEN
    )
    yield Dirty(
        name="jpeg-empty-scan.jpg",
        content=content[:start] + b"\xff\xd9",
        verdicts=BROKEN | ACCEPTED,
    )
    for table, kind in ((b"\xff\xdb", "quantisation"), (b"\xff\xc4", "huffman")):
        lost = content.replace(table, b"\xff\xef")
        verdicts = BROKEN | (
            ACCEPTED if kind == "huffman" else frozenset()
        )  # motion JPEG's default
        yield Dirty(name=f"jpeg-no-{kind}-tables.jpg", content=lost, verdicts=verdicts)
    arithmetic = content[: frame + 1] + b"\xc9" + content[frame + 2 :]
    yield Dirty(
        name="jpeg-arithmetic-in-name-only.jpg", content=arithmetic, verdicts=BROKEN | ACCEPTED
    )
