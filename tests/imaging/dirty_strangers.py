"""Files that are no image of the gate's formats, and images under other names than theirs."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator

from imaging.dirty import (
    BROKEN,
    NOT_AN_IMAGE,
    Dirty,
    colours,
    encoded,
    noise,
    picture,
    rng,
    shown,
)
from imaging.dirty_jpegs import CLOSE
from PIL import Image

PILLOW_KINDS = {
    "TIFF": "tif",
    "ICO": "ico",
    "ICNS": "icns",
    "JPEG2000": "jp2",
    "AVIF": "avif",
    "PPM": "ppm",
    "TGA": "tga",
    "PCX": "pcx",
    "DDS": "dds",
    "SGI": "sgi",
    "QOI": "qoi",
    "PDF": "pdf",
    "EPS": "eps",
    "DIB": "dib",
    "XBM": "xbm",
    "MSP": "msp",
}


def files() -> Iterator[Dirty]:
    """Yield the files that must be refused by what they are, then the images in disguise."""
    for kind, suffix in PILLOW_KINDS.items():
        content = _of_kind(kind)
        yield Dirty(name=f"other-{kind}.{suffix}", content=content, verdicts=NOT_AN_IMAGE)
        yield Dirty(name=f"disguised-{kind}.jpg", content=content, verdicts=NOT_AN_IMAGE)
    for name, content in _stubs().items():
        yield Dirty(name=f"stub-{name}", content=content, verdicts=NOT_AN_IMAGE)
    yield Dirty(name="empty.jpg", content=b"", verdicts=frozenset({"empty"}))
    yield Dirty(name="empty.png", content=b"", verdicts=frozenset({"empty"}))
    for kind, magic in _magics().items():
        yield Dirty(name=f"magic-only.{kind}", content=magic, verdicts=BROKEN)
        yield Dirty(name=f"magic-and-zeros.{kind}", content=magic + bytes(3000), verdicts=BROKEN)
        yield Dirty(name=f"magic-and-text.{kind}", content=magic + b"lorem " * 500, verdicts=BROKEN)
    yield from _disguised()


def _of_kind(kind: str) -> bytes:
    image = noise(kind, 48, 48)
    return encoded(image.convert("1") if kind in ("XBM", "MSP") else image, kind)


def _magics() -> dict[str, bytes]:
    return {
        "jpg": b"\xff\xd8\xff",
        "png": b"\x89PNG\r\n\x1a\n",
        "gif": b"GIF89a",
        "webp": b"RIFF\x24\0\0\0WEBPVP8 ",
        "bmp": b"BM",
    }


def _stubs() -> dict[str, bytes]:
    jpeg = encoded(noise("inside"), "JPEG")
    return {
        "photoshop.psd": b"8BPS\0\1"
        + bytes(6)
        + struct.pack(">HIIHH", 3, 64, 64, 8, 3)
        + bytes(500),
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>',
        "drawing-xml.svg": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
        "sky.fits": b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800),
        "stream.j2k": b"\xff\x4f\xff\x51" + bytes(200),
        "next.jxl": b"\xff\x0a" + bytes(100),
        "script.ps": b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n",
        "letter.txt": b"Dear cat,\n",
        "utf16.txt": "Dear cat,\n".encode("utf-16"),
        "page.html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "login.png": b"\n\n<html><head><title>Log in</title></head></html>",
        "answer.json": b'{"error": "rate limit exceeded"}',
        "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
        "one-byte.jpg": b"\xff",
        "one-newline.jpg": b"\n",
        "two-bytes.jpg": b"\xff\xd8",
        "zeros.jpg": bytes(4096),
        "ones.jpg": b"\xff" * 4096,
        "noise.jpg": rng("noise").bytes(4096),
        "noise.png": rng("noise png").bytes(70_000),
        "zip.jpg": _zipped(jpeg),
        "tar.jpg": _tarred(jpeg),
        "gzip.jpg": gzip.compress(jpeg, mtime=0),
        "base64.jpg": b"data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ==",
        "elf.png": b"\x7fELF\2\1\1" + bytes(100),
        "windows.jpg": b"MZ\x90\0" + bytes(100),
        "sound.wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(30),
        "film.avi": b"RIFF\x24\0\0\0AVI LIST" + bytes(30),
        "film.mp4": b"\0\0\0\x18ftypmp42" + bytes(100),
        "sqlite.db": b"SQLite format 3\0" + bytes(100),
        "pickle.png": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "array.npy": b"\x93NUMPY\1\0v\0{'descr': '|u1', 'fortran_order': False}",
        "cut-at-front.jpg": jpeg[20:],
        "cut-at-front.png": encoded(noise("front"), "PNG")[8:],
        "crlf.png": encoded(noise("crlf"), "PNG").replace(b"\r\n", b"\n"),
        "gif88.gif": b"GIF88a" + encoded(noise("88").quantize(8), "GIF")[6:],
    }


def _zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("cat.jpg"), content)
    return buffer.getvalue()


def _tarred(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("cat.jpg")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _disguised() -> Iterator[Dirty]:
    """Images under another name: what a file is, is told by its content."""
    for kind, within in (("JPEG", CLOSE), ("PNG", 0), ("GIF", 0), ("WEBP", 0), ("BMP", 0)):
        for suffix in ("jpg", "png", "txt", "exe", "tiff"):
            name = f"really-{kind}.{suffix}"
            image: Image.Image = picture(colours(name))
            options: dict[str, object] = {
                "JPEG": {"quality": 95, "subsampling": 0},
                "WEBP": {"lossless": True},
            }.get(kind, {})
            content = encoded(image.quantize(16) if kind == "GIF" else image, kind, **options)
            yield shown(name, content, colours(name), within=within)
