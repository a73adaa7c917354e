"""What `data.source` means: the presets, and how paths and URLs are understood."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.core.errors import DataError, ParamsError
from pipeline.sources.listing import described

SYNTHETIC = "synthetic"

# `user:password@` at the start of any part of a path: a mistyped URL is taken for a path.
_LOGIN = re.compile(r"[^/\s]+:[^/]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """An archive to be fetched, and what is known of it."""

    url: str
    size_bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def name(self) -> str:
        """The URL for people: without password, and without a query that may hold a token."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def has_password(self) -> bool:
        """Tell whether the URL holds `user:password@`."""
        return "@" in urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One item of `data.source`."""

    text: str
    """As params.yaml has it."""
    sha256: str | None
    """Checksum that was given for it."""
    place: "Path | Remote"

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.place) if isinstance(self.place, Path) else self.place.name

    @property
    def short_name(self) -> str:
        """What stands before its files where several sources are joined."""
        if isinstance(self.place, Remote) and self.text not in PRESETS:
            return self.place.name
        return self.text.rstrip("/")


PRESETS = {
    "dogs-vs-cats": Remote(  # 24,998 images in two classes, as Microsoft publishes them
        url="https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
        "kagglecatsanddogs_5340.zip",
        size_bytes=824_887_076,
        sha256="b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
    ),
    "dogscats": Remote(  # the copy of fast.ai's lesson 1, with its own train and valid folders
        url="https://s3.amazonaws.com/fast-ai-sample/dogscats.tgz",
        size_bytes=839_285_364,
        md5="3e483c8d6ef2175e9d395a6027eb92b7",
    ),
}


def locate(source: str, *, root: Path) -> Path | Remote:
    """Return where the images are: a file or folder that exists, or an archive to fetch.

    Args:
        source: `data.source` of params.yaml: a preset, a path, or an http(s) or file URL.
        root: the folder that a relative path is relative to.

    Raises:
        DataError: the source is none of these.
    """
    if source in PRESETS:
        return PRESETS[source]
    scheme, separator, _ = source.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return _existing(Path(os.path.expanduser(source)), source, root=root)  # noqa: PTH111
    if scheme.lower() == "file":
        return _existing(_file_url_path(source), source, root=root)
    if scheme.lower() not in ("http", "https"):
        raise DataError(f"data.source: {scheme}:// is not understood; use http, https or file")
    if not _has_host(source):
        raise DataError(  # without the text, which may hold a password
            "data.source: not a URL: expected http(s)://host/path or http(s)://host:port/path; "
            "special characters in a password are written as %XX"
        )
    return Remote(url=source)


def locate_all(
    source: str | Sequence[str], sha256: str | Sequence[str | None] | None, *, root: Path
) -> list[Source]:
    """Return each source of `data.source` with its checksum, which must be as many.

    Arguments and errors are those of `locate`.
    """
    texts = [source] if isinstance(source, str) else list(source)
    if sha256 is None or isinstance(sha256, str):
        sha256 = [sha256] * len(texts)
    return [
        Source(text=text, sha256=checksum, place=locate(text, root=root))
        for text, checksum in zip(texts, sha256, strict=True)
    ]


def is_synthetic(source: str | Sequence[str]) -> bool:
    """Tell whether the images are to be drawn.

    Raises:
        ParamsError: drawn images are to be joined with others.
    """
    texts = [source] if isinstance(source, str) else list(source)
    if SYNTHETIC in texts and len(texts) > 1:
        raise ParamsError(f"data.source: {SYNTHETIC} cannot be joined with other sources")
    return SYNTHETIC in texts


def repository_root() -> Path:
    """Return the folder that relative sources are relative to.

    A queued experiment runs in a checkout elsewhere, without the files that Git does not track; DVC
    names the repository it came from.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def _has_host(url: str) -> bool:
    """Tell whether a URL names a host, and a port that is a number if it names one."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _file_url_path(url: str) -> Path:
    # Not urlsplit: in the path of a file, `?` and `#` are often meant as they stand.
    host, slash, path = url.partition("://")[2].partition("/")
    if host not in ("", "localhost") or not slash:
        raise DataError("data.source: a file URL has three slashes: file:///folder/file.zip")
    return Path(unquote(f"/{path}", errors="surrogateescape"))


def _existing(path: Path, source: str, *, root: Path) -> Path:
    place = root / path
    shown_source, shown_place = _LOGIN.sub("***@", source), _LOGIN.sub("***@", str(place))
    try:
        found = place.is_file() or place.is_dir()
    except (OSError, ValueError) as error:  # too long, no permission, a NUL in it
        raise DataError(f"data.source: {shown_source[:80]!r}: {described(error)}") from error
    if found:
        return place
    if os.path.lexists(place):
        raise DataError(
            f"data.source: {shown_place} is neither a file nor a folder that can be read"
        )
    raise DataError(
        f"data.source: {shown_source!r} is neither a preset ({', '.join((SYNTHETIC, *PRESETS))}) "
        f"nor an existing path ({shown_place})"
    )
