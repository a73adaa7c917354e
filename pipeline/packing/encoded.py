"""Images kept encoded and decoded when they are asked for, by processes that work ahead.

`NAME.bytes` holds the encoded images back to back in row order, `NAME.offsets.npy` where each
begins and the last ends: N + 1 whole numbers, memory-mapped.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import ArtifactError, ImageError
from pipeline.core.workers import CHUNK_ITEMS, supervised_map
from pipeline.imaging.preprocess import Pixels, pixels_from_bytes
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.images import PlacedImage, read_image

Rows = slice | NDArray[np.int64]
"""Which images: a slice, or an array of their indices."""
CURE = "run: dvc repro pack"
CHUNK_BYTES = 2**20
"""Pixels that a process hands over at a time: large enough to be cheap, small enough to hold."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the bytes of an image lie in the file."""

    path: str
    """Name in data/raw.zip, for messages."""
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class EncodedPixels:
    """(N, H, W, 3) uint8 pixels that are decoded anew each time; indexed as an array is."""

    file: Path
    offsets: NDArray[np.int64]
    paths: Sequence[str]
    spec: PreprocessSpec
    workers: int
    """Processes that decode; the pixels do not depend on their number."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, 3)."""
        return len(self), self.spec.size_px, self.spec.size_px, 3

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | Rows) -> Pixels:
        if isinstance(index, int | np.integer):
            return _decode(self._extent(range(len(self))[index]), file=self.file, spec=self.spec)
        return next(self.batches([index]))

    def batches(self, indices: Sequence[Rows]) -> Iterator[Pixels]:
        """Yield `self[index]` for each index; the next are decoded while one is being used.

        Raises:
            ArtifactError: the file is damaged.
            DataError: processes that decode an image die, again and again.
        """
        numbers = [_row_numbers(index, len(self)) for index in indices]
        decoded = supervised_map(
            partial(_decode, file=self.file, spec=self.spec),
            (self._extent(row) for batch in numbers for row in batch),
            workers=self.workers,
            chunk_items=max(1, min(CHUNK_ITEMS, CHUNK_BYTES // (3 * self.spec.size_px**2))),
        )
        with closing(decoded):  # type: ignore[type-var]  # the processes end, however this ends
            for batch in numbers:
                pixels = np.empty((len(batch), *self.shape[1:]), np.uint8)
                for image in pixels:
                    image[:] = next(decoded)
                yield pixels

    def _extent(self, row: int) -> Extent:
        start, stop = self.offsets[row : row + 2]
        return Extent(self.paths[row], int(start), int(stop))


def pixel_batches(pixels: Pixels | EncodedPixels, indices: Sequence[Rows]) -> Iterator[Pixels]:
    """Yield `pixels[index]` for each index, whether the images are decoded already or not."""
    if isinstance(pixels, EncodedPixels):
        yield from pixels.batches(indices)
    else:
        yield from (pixels[index] for index in indices)


def write_encoded(
    folder: Path, name: str, images: Sequence[PlacedImage], *, archive_path: Path
) -> Iterator[None]:
    """Write `name`.bytes and `name`.offsets.npy; yield after each image.

    Raises:
        DataError: an image changed since split.
        ArtifactError: the archive cannot be read.
        OSError: the disk is full.
    """
    offsets = np.zeros(len(images) + 1, np.int64)
    with bytes_path(folder, name).open("wb") as file:
        for row, image in enumerate(images):
            offsets[row + 1] = offsets[row] + file.write(read_image(archive_path, image))
            yield
    np.save(offsets_path(folder, name), offsets)


def open_encoded(
    folder: Path, name: str, *, paths: Sequence[str], spec: PreprocessSpec, workers: int
) -> EncodedPixels:
    """Open what `write_encoded` wrote, without reading the images.

    Raises:
        ArtifactError: a file is missing or malformed, or they do not fit each other.
    """
    file, path = bytes_path(folder, name), offsets_path(folder, name)
    try:
        n_bytes = file.stat().st_size
        offsets = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise ArtifactError(f"{error.filename}: not found; {CURE}") from error
    except (OSError, ValueError, EOFError) as error:
        detail = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{path}: malformed ({detail}); {CURE}") from error
    if offsets.shape != (len(paths) + 1,) or offsets.dtype != np.int64:
        raise ArtifactError(
            f"{path}: holds {offsets.dtype} {offsets.shape}, expected int64 ({len(paths) + 1},); "
            f"{CURE}"
        )
    if offsets[0] != 0 or offsets[-1] != n_bytes or (offsets[1:] <= offsets[:-1]).any():
        raise ArtifactError(f"{file}: is not the file that {path.name} describes; {CURE}")
    return EncodedPixels(file, offsets, paths, spec, workers)


def bytes_path(folder: Path, name: str) -> Path:
    """Return where the encoded images of a split lie."""
    return folder / f"{name}.bytes"


def offsets_path(folder: Path, name: str) -> Path:
    """Return where the offsets of a split lie."""
    return folder / f"{name}.offsets.npy"


def _row_numbers(index: Rows, n_images: int) -> Sequence[int]:
    """Return the rows that an array of `n_images` would give for `index`."""
    every = range(n_images)
    if isinstance(index, slice):
        return every[index]
    rows = np.flatnonzero(index) if index.dtype == np.bool_ else index
    return [every[row] for row in rows.tolist()]


def _decode(extent: Extent, *, file: Path, spec: PreprocessSpec) -> Pixels:
    try:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            content = os.pread(descriptor, extent.stop - extent.start, extent.start)
        finally:
            os.close(descriptor)
        return pixels_from_bytes(content, spec)
    except (OSError, ImageError) as error:
        raise ArtifactError(
            f"{file}: {extent.path}: cannot be read ({error}); run dvc checkout, or {CURE}"
        ) from None
