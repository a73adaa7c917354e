"""Images decoded once: memory-mapped uint8 arrays with their labels and names.

`{train,valid,test}.npy` hold the pixels, `{train,valid,test}.csv` path and label of each row,
`spec.json` the class names and the preprocessing that was applied.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.archive import RawArchive
from pipeline.core.artifacts import SPLITS, Sample, read_json, read_records, write_records
from pipeline.core.atomic import write_json
from pipeline.core.errors import ArtifactError, DataError, ImageError
from pipeline.core.workers import map_archive
from pipeline.imaging.preprocess import Pixels, pixels_from_bytes
from pipeline.imaging.spec import PreprocessSpec

CURE = "run: dvc repro pack"


@dataclass(frozen=True, slots=True)
class PackedSplit:
    """The images of one split."""

    pixels: Pixels
    """(N, H, W, 3) uint8, memory-mapped read-only."""
    labels: NDArray[np.int64]
    """(N,) class indices."""
    paths: tuple[str, ...]
    """Names in data/raw.zip."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Packed:
    """The folder data/packed."""

    classes: tuple[str, ...]
    preprocess: PreprocessSpec
    train: PackedSplit
    valid: PackedSplit
    test: PackedSplit


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedRow:
    """Which image a row of the array shows."""

    path: str
    label: str


def read_packed(folder: Path) -> Packed:
    """Open the arrays without reading them.

    Raises:
        ArtifactError: a file is missing, malformed or does not fit the others.
    """
    spec = read_json(folder / "spec.json", stage="pack")
    try:
        classes = tuple(map(str, spec["classes"]))
        preprocess = PreprocessSpec(**spec["preprocess"])
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{folder}/spec.json: malformed ({error!r}); {CURE}") from error
    splits = [_read_split(folder, name, classes, preprocess.size_px) for name in SPLITS]
    return Packed(classes, preprocess, *splits)


def write_packed(
    folder: Path,
    *,
    archive_path: Path,
    samples: Sequence[Sample],
    spec: PreprocessSpec,
    workers: int,
    on_progress: Callable[[int], None] = lambda n_images: None,
) -> None:
    """Decode every sample into `folder`, which is replaced as a whole.

    The bytes are the same for any number of workers; memory is bounded by a chunk per worker.

    Raises:
        DataError: an image cannot be decoded, though split could.
        ArtifactError: the archive lacks an image, or the disk is full.
    """
    unknown = {sample.split for sample in samples} - set(SPLITS)
    if unknown:
        raise ArtifactError(f"data/split.csv: split {min(unknown)!r}; run: dvc repro split")
    temporary = folder.with_name(f".tmp-{folder.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name in SPLITS:
            rows = [PackedRow(path=s.path, label=s.label) for s in samples if s.split == name]
            write_records(temporary / f"{name}.csv", rows, PackedRow)
            _write_pixels(
                temporary / f"{name}.npy",
                [row.path for row in rows],
                archive_path=archive_path,
                spec=spec,
                workers=workers,
                on_progress=on_progress,
            )
        classes = sorted({sample.label for sample in samples})
        write_json(temporary / "spec.json", {"classes": classes, "preprocess": asdict(spec)})
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read_split(folder: Path, name: str, classes: tuple[str, ...], size_px: int) -> PackedSplit:
    rows = read_records(folder / f"{name}.csv", PackedRow, stage="pack")
    index = {class_name: k for k, class_name in enumerate(classes)}
    for row in rows:
        if row.label not in index:
            raise ArtifactError(f"{folder}/{name}.csv: unknown class {row.label!r}; {CURE}")
    pixels = _open_pixels(folder / f"{name}.npy", shape=(len(rows), size_px, size_px, 3))
    labels = np.array([index[row.label] for row in rows], dtype=np.int64)
    return PackedSplit(pixels, labels, tuple(row.path for row in rows))


def _open_pixels(path: Path, *, shape: tuple[int, ...]) -> Pixels:
    try:
        # A memory map cannot be empty; an empty array is as good.
        pixels: Pixels = np.lib.format.open_memmap(path, mode="r") if shape[0] else np.load(path)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: not found; {CURE}") from error
    except (OSError, ValueError, EOFError) as error:
        detail = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{path}: malformed ({detail}); {CURE}") from error
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise ArtifactError(
            f"{path}: holds {pixels.dtype} {pixels.shape}, expected uint8 {shape}; {CURE}"
        )
    return pixels


def _write_pixels(
    target: Path,
    paths: Sequence[str],
    *,
    archive_path: Path,
    spec: PreprocessSpec,
    workers: int,
    on_progress: Callable[[int], None],
) -> None:
    _allocate(target, shape=(len(paths), spec.size_px, spec.size_px, 3))
    pack = partial(_pack_image, target=target, spec=spec)
    for _ in map_archive(pack, enumerate(paths), archive_path=archive_path, workers=workers):
        on_progress(1)


def _allocate(target: Path, *, shape: tuple[int, ...]) -> None:
    """Make a .npy file of zeros; raises OSError if the disk cannot hold it.

    Writing to a memory map of a file with holes on a full disk would kill the process (SIGBUS).
    """
    if not shape[0]:
        np.save(target, np.empty(shape, np.uint8))  # a memory map cannot be empty
        return
    np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=shape).flush()
    if hasattr(os, "posix_fallocate"):
        with target.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, target.stat().st_size)


def _pack_image(
    archive: RawArchive, item: tuple[int, str], *, target: Path, spec: PreprocessSpec
) -> None:
    """Decode one image straight into its row of the file."""
    row, path = item
    pixels = np.load(target, mmap_mode="r+")
    try:
        pixels[row] = pixels_from_bytes(archive.read(path), spec)
    except ImageError as error:
        # A DataError with one argument: ImageError does not survive the way between processes.
        raise DataError(
            f"{path}: cannot be decoded, though split could ({error}); run: dvc repro split"
        ) from None
