"""Images decoded once: a .npy file of uint8 (N, H, W, 3) that later stages memory-map."""

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.core.errors import ArtifactError, DataError, ImageError
from pipeline.core.workers import supervised_map
from pipeline.imaging.preprocess import Pixels, pixels_from_bytes
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.images import PlacedImage, read_image

CURE = "run: dvc repro pack"


@dataclass(frozen=True, slots=True)
class Row:
    """An image, and where its pixels go."""

    image: PlacedImage
    file_name: str
    offset: int

    @property
    def path(self) -> str:
        """Name in data/raw.zip."""
        return self.image.path


def allocate(path: Path, *, shape: tuple[int, ...]) -> int:
    """Make a .npy file of zeros for uint8 values; return the offset of the first.

    The whole file is asked of the disk, so that one which is too full says so at once.

    Raises:
        OSError: the disk cannot hold it.
    """
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        offset, n_bytes = file.tell(), int(np.prod(shape, dtype=np.int64))
        file.truncate(offset + n_bytes)
        if n_bytes and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), offset, n_bytes)
    return offset


def rows(
    images: Iterable[PlacedImage], *, file_name: str, offset: int, size_px: int
) -> Iterator[Row]:
    """Yield where each image goes, one behind the other."""
    for index, image in enumerate(images):
        yield Row(image, file_name, offset + index * size_px * size_px * 3)


def write_rows(
    folder: Path, rows: Iterable[Row], *, archive_path: Path, spec: PreprocessSpec, workers: int
) -> Iterator[None]:
    """Decode each image into its place, in several processes; yield after each.

    Written, not mapped: the pages of a memory map that was written to count as a process's memory.

    Raises:
        DataError: an image changed since split, or cannot be decoded though split could.
        ArtifactError: the archive cannot be read.
        OSError: the disk is full.
    """
    work = partial(_write_row, folder=folder, archive_path=archive_path, spec=spec)
    yield from supervised_map(work, rows, workers=workers)


def open_array(path: Path, *, shape: tuple[int, ...]) -> Pixels:
    """Return the memory-mapped pixels, read-only.

    Raises:
        ArtifactError: the file is missing, malformed or of another shape.
    """
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


def _write_row(row: Row, *, folder: Path, archive_path: Path, spec: PreprocessSpec) -> None:
    content = read_image(archive_path, row.image)
    try:
        pixels = pixels_from_bytes(content, spec)
    except ImageError as error:
        # A DataError with one argument: ImageError does not survive the way between processes.
        raise DataError(
            f"{row.path}: cannot be decoded, though split could ({error}); run: dvc repro split"
        ) from None
    descriptor = os.open(folder / row.file_name, os.O_WRONLY)
    try:
        if os.pwrite(descriptor, pixels.data, row.offset) != pixels.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)
