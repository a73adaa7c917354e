"""Sources made of a few bytes: the download never looks into an image."""

import io
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from pipeline.core.archive import RawArchive
from pipeline.sources.collect import collect

Files = Iterable[tuple[str, bytes]]


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[..., Path]:
    """Write a zip archive of (name, content) pairs; names that end in a slash are folders."""

    def make(files: Files, name: str = "source.zip", method: int = zipfile.ZIP_DEFLATED) -> Path:
        path = tmp_path / name
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
            warnings.simplefilter("ignore")  # a name that is written twice is meant
            for member, content in files:
                archive.writestr(member, content)
        return path

    return make


@pytest.fixture
def make_tar(tmp_path: Path) -> Callable[..., Path]:
    """Write a tar archive of (name, content) pairs or ready-made headers."""

    def make(files: Iterable[object], name: str = "source.tar", mode: str = "w") -> Path:
        path = tmp_path / name
        with tarfile.open(path, mode) as archive:
            for file in files:
                if isinstance(file, tarfile.TarInfo):
                    archive.addfile(file)
                else:
                    member, content = file
                    info = tarfile.TarInfo(member)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
        return path

    return make


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of (name, content) pairs."""

    def make(files: Files, name: str = "source") -> Path:
        for member, content in files:
            path = tmp_path / name / member
            if member.endswith("/"):
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return tmp_path / name

    return make


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "repository/data/raw.zip"


@pytest.fixture
def gather(tmp_path: Path, target: Path) -> Callable[..., dict[str, tuple[str, bytes]]]:
    """Collect a source; return {member: (source name, content)}."""

    def run(source: Path | str, sha256: str | None = None) -> dict[str, tuple[str, bytes]]:
        collect(str(source), target, sha256=sha256, root=tmp_path)
        with RawArchive(target) as archive:
            return {m.path: (m.source, archive.read(m.path)) for m in archive.members}

    return run


@pytest.fixture
def untouched(tmp_path: Path, target: Path) -> Iterator[None]:
    """Check at the end that a refused source left the old archive, and nothing beside it."""
    target.parent.mkdir(parents=True)
    target.write_bytes(b"the old one")
    yield
    assert target.read_bytes() == b"the old one"
    assert [path.name for path in target.parent.iterdir()] == ["raw.zip"]
