"""Images decoded once: memory-mapped uint8 arrays with their labels and names.

`{train,valid,test}.npy` hold the pixels, `{train,valid,test}.csv` path and label of each row,
`spec.json` the class names and the preprocessing that was applied.
"""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.archive import RawArchive
from pipeline.core.artifacts import SPLITS, Sample, write_csv
from pipeline.core.atomic import write_json
from pipeline.core.errors import ArtifactError, DataError, ImageError
from pipeline.imaging.preprocess import Pixels, pixels_from_bytes
from pipeline.imaging.spec import PreprocessSpec

CHUNK_IMAGES = 256
MIN_IMAGES_FOR_PROCESSES = 200  # below that, starting processes takes longer than the work


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


def read_packed(folder: Path) -> Packed:
    """Open the arrays without reading them.

    Raises:
        ArtifactError: a file is missing, malformed or does not fit the others.
    """
    try:
        spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
        classes = tuple(map(str, spec["classes"]))
        preprocess = PreprocessSpec(**spec["preprocess"])
        splits = [_read_split(folder, name, classes, preprocess.size_px) for name in SPLITS]
    except FileNotFoundError as error:
        raise ArtifactError(f"{error.filename}: not found; run: dvc repro pack") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        detail = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{folder}: malformed ({detail}); run: dvc repro -f pack") from error
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
    temporary = folder.with_name(f".tmp-{folder.name}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for split in SPLITS:
            rows = [sample for sample in samples if sample.split == split]
            write_csv(
                temporary / f"{split}.csv", ("path", "label"), [(s.path, s.label) for s in rows]
            )
            _write_pixels(
                temporary / f"{split}.npy",
                archive_path,
                [sample.path for sample in rows],
                spec,
                workers,
                on_progress,
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
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(io.StringIO(file.read(), newline=""), strict=True))[1:]
    index = {class_name: k for k, class_name in enumerate(classes)}
    labels = np.array([index[label] for _, label in rows], dtype=np.int64)
    # A memory map cannot be empty; an empty array is as good.
    pixels = np.load(folder / f"{name}.npy", mmap_mode="r" if rows else None)
    expected = (len(rows), size_px, size_px, 3)
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise ValueError(
            f"{name}.npy holds {pixels.dtype} {pixels.shape}, expected uint8 {expected}"
        )
    return PackedSplit(pixels, labels, tuple(path for path, _ in rows))


def _write_pixels(
    target: Path,
    archive_path: Path,
    paths: list[str],
    spec: PreprocessSpec,
    workers: int,
    on_progress: Callable[[int], None],
) -> None:
    shape = (len(paths), spec.size_px, spec.size_px, 3)
    if not paths:
        np.save(target, np.empty(shape, np.uint8))
        return
    np.lib.format.open_memmap(target, mode="w+", dtype=np.uint8, shape=shape).flush()
    chunks = [
        (archive_path, target, start, paths[start : start + CHUNK_IMAGES], spec)
        for start in range(0, len(paths), CHUNK_IMAGES)
    ]
    for n_images in _results(chunks, workers if len(paths) >= MIN_IMAGES_FOR_PROCESSES else 1):
        on_progress(n_images)


def _results(
    chunks: list[tuple[Path, Path, int, list[str], PreprocessSpec]], workers: int
) -> Iterator[int]:
    if workers == 1:
        yield from map(_pack_chunk, chunks)
        return
    # Not fork: a forked child would share locks of threads that do not exist in it.
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(_pack_chunk, chunks)


def _pack_chunk(chunk: tuple[Path, Path, int, list[str], PreprocessSpec]) -> int:
    """Decode one chunk straight into its rows of the file."""
    archive_path, target, start, paths, spec = chunk
    pixels = np.load(target, mmap_mode="r+")
    with RawArchive(archive_path) as archive:
        for row, path in enumerate(paths, start):
            try:
                pixels[row] = pixels_from_bytes(archive.read(path), spec)
            except ImageError as error:
                raise DataError(
                    f"{archive_path}: {path}: {error}; run: dvc repro -f split"
                ) from None
    return len(paths)
