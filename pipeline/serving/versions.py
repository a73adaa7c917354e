"""Where the versions of a model lie, and which of them should be served.

Either one file, `model.onnx`, or the layout of Triton and KServe: `<name>/<version>/model.onnx`,
the versions being numbers, of which the highest is served.
"""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.atomic import sha256_path
from pipeline.core.errors import ArtifactError
from pipeline.inference.golden import FOLDER, INDEX

FILE = "model.onnx"
DEFAULT_NAME = "classifier"

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version that lies on the disk."""

    name: str
    number: str
    path: Path
    stamp: Stamp
    """Tells whether the file, its checksum or its golden files have been replaced."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look for versions.

    Args:
        path: the .onnx file, the folder of a model, or a repository that holds `classifier`.
    """

    path: Path

    def newest(self) -> Version:
        """Return the version that should be served.

        Raises:
            ArtifactError: there is none.
        """
        if not self.path.is_dir():
            return _version(DEFAULT_NAME, "1", self.path)
        folder = self.path if _numbers(self.path) else self.path / DEFAULT_NAME
        numbers = _numbers(folder)
        if not numbers:
            raise ArtifactError(
                f"{folder}: no folder <version>/{FILE}; run: dvc repro export_onnx, or give "
                "--model the .onnx file or the folder of one model"
            )
        number = str(numbers[-1])
        return _version(folder.resolve().name, number, folder / number / FILE)


def _version(name: str, number: str, path: Path) -> Version:
    files = (path, sha256_path(path), path.parent / FOLDER / INDEX)
    stamp = tuple(_stamp(file) for file in files)
    return Version(name=name, number=number, path=path, stamp=stamp)


def _numbers(folder: Path) -> list[int]:
    """Return the versions in a model's folder, ascending: what is named by a number.

    `03` is none, as with Triton: beside `3` it would be the same version.
    """
    try:
        names = [entry.name for entry in folder.iterdir() if (entry / FILE).is_file()]
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
