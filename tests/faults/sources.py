"""The same drawn images as a folder, a tar archive, and a zip archive on a slow web server."""

import http.server
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHUNK_BYTES = 8 << 10


@dataclass
class Site:
    """One file on the loopback interface, sent slowly."""

    content: bytes
    bytes_per_s: float
    url: str = ""
    ranges: list[str | None] = field(default_factory=list)
    """The Range header of each request."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client was killed
            super().handle()

    def do_GET(self) -> None:
        site: Site = self.server.site
        asked = self.headers.get("Range")
        site.ranges.append(asked)
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        size = len(site.content)
        if asked and first >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
        else:
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
            self.send_header("Content-Length", str(size - first))
        self.send_header("ETag", '"1"')
        self.end_headers()
        for start in range(first, size, CHUNK_BYTES):
            self.wfile.write(site.content[start : start + CHUNK_BYTES])
            self.wfile.flush()
            time.sleep(CHUNK_BYTES / site.bytes_per_s)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(content: bytes, *, seconds: float) -> Iterator[Site]:
    """Serve a file so that fetching all of it takes `seconds`."""
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    site = server.site = Site(content, len(content) / seconds)
    site.url = f"http://127.0.0.1:{server.server_address[1]}/pets.zip"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def unpacked(archive: Path, folder: Path) -> Path:
    """Write the members of data/raw.zip as files."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)  # our own archive, whose names are plain
    return folder


def tarred(folder: Path, path: Path) -> Path:
    """Write a folder as a compressed tar archive."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(folder, "pets")
    return path


def zipped(folder: Path, path: Path) -> Path:
    """Write a folder as a zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder))
    return path
