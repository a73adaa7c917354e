"""The folder data/packed: all that later stages see of the images.

For each split, `NAME.csv` holds path and label of every row. The pixels lie decoded in `NAME.npy`
(mode `array`), or encoded in `NAME.bytes` and `NAME.offsets.npy` (mode `stream`). `spec.json` holds
the mode, the class names and the preprocessing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.archive import RawArchive
from pipeline.core.artifacts import SPLITS, Sample, read_json, read_records, write_records
from pipeline.core.atomic import replacing_folder, write_json
from pipeline.core.errors import ArtifactError
from pipeline.imaging.preprocess import Pixels
from pipeline.imaging.spec import PreprocessSpec, preprocess_from
from pipeline.packing.arrays import allocate, open_array, rows, write_rows
from pipeline.packing.encoded import EncodedPixels, open_encoded, write_encoded
from pipeline.packing.images import PlacedImage

CURE = "run: dvc repro pack"
MODES = ("array", "stream")


@dataclass(frozen=True, slots=True)
class PackedSplit:
    """The images of one split."""

    pixels: Pixels | EncodedPixels
    """(N, H, W, 3) uint8: memory-mapped read-only, or decoded when indexed."""
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
    """Which image a row shows."""

    path: str
    label: str


def read_packed(folder: Path, *, workers: int = 1) -> Packed:
    """Open the splits without reading their pixels.

    Args:
        folder: data/packed.
        workers: processes that decode where the images are kept encoded.

    Raises:
        ArtifactError: a file is missing, malformed or does not fit the others.
    """
    spec = read_json(folder / "spec.json", stage="pack")
    try:
        classes, mode = tuple(map(str, spec["classes"])), spec["mode"]
        preprocess = preprocess_from(spec["preprocess"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder}/spec.json: malformed ({error!r}); {CURE}") from error
    if mode not in MODES:
        raise ArtifactError(f"{folder}/spec.json: mode is {mode!r}; {CURE}")
    splits = []
    for name in SPLITS:
        paths, labels = _read_rows(folder / f"{name}.csv", classes)
        pixels: Pixels | EncodedPixels
        if mode == "array":
            shape = (len(paths), preprocess.size_px, preprocess.size_px, 3)
            pixels = open_array(folder / f"{name}.npy", shape=shape)
        else:
            pixels = open_encoded(folder, name, paths=paths, spec=preprocess, workers=workers)
        splits.append(PackedSplit(pixels, labels, paths))
    return Packed(classes, preprocess, *splits)


def write_packed(
    folder: Path,
    *,
    archive_path: Path,
    samples: Sequence[Sample],
    spec: PreprocessSpec,
    mode: str = "array",
    workers: int,
    on_progress: Callable[[int], None] = lambda n_images: None,
) -> None:
    """Pack every sample into `folder`, which is replaced as a whole.

    The bytes are the same for any number of workers; no image is held for longer than it takes.

    Args:
        folder: data/packed.
        archive_path: data/raw.zip.
        samples: the rows of data/split.csv.
        spec: how images become pixels.
        mode: `array` decodes the images, `stream` keeps them encoded.
        workers: processes that decode.
        on_progress: called with the number of images done since the last call.

    Raises:
        DataError: an image changed since split, or cannot be decoded though split could.
        ArtifactError: the archive lacks an image, or the disk is full.
    """
    unknown = {sample.split for sample in samples} - set(SPLITS)
    if unknown:
        raise ArtifactError(f"data/split.csv: split {min(unknown)!r}; run: dvc repro split")
    with replacing_folder(folder) as temporary:
        images = _place(samples, archive_path)
        for name in SPLITS:
            packed = [PackedRow(path=s.path, label=s.label) for s in samples if s.split == name]
            write_records(temporary / f"{name}.csv", packed, PackedRow)
        classes = sorted({sample.label for sample in samples})
        content = {"classes": classes, "mode": mode, "preprocess": asdict(spec)}
        write_json(temporary / "spec.json", content)
        if mode == "array":
            done = _write_arrays(
                temporary, images, archive_path=archive_path, spec=spec, workers=workers
            )
        else:
            done = chain.from_iterable(
                write_encoded(temporary, name, images[name], archive_path=archive_path)
                for name in SPLITS
            )
        for _ in done:
            on_progress(1)


def _place(samples: Iterable[Sample], archive_path: Path) -> dict[str, list[PlacedImage]]:
    """Look every image up in the archive's index, which is not needed any more after that."""
    images: dict[str, list[PlacedImage]] = {name: [] for name in SPLITS}
    with RawArchive(archive_path) as archive:
        for sample in samples:
            image = PlacedImage(archive.place(sample.path), sample.sha256)
            images[sample.split].append(image)
    return images


def _write_arrays(
    folder: Path,
    images: Mapping[str, Sequence[PlacedImage]],
    *,
    archive_path: Path,
    spec: PreprocessSpec,
    workers: int,
) -> Iterator[None]:
    side = spec.size_px
    offsets = {
        name: allocate(folder / f"{name}.npy", shape=(len(images[name]), side, side, 3))
        for name in SPLITS
    }
    every_row = chain.from_iterable(
        rows(images[name], file_name=f"{name}.npy", offset=offsets[name], size_px=side)
        for name in SPLITS
    )
    yield from write_rows(folder, every_row, archive_path=archive_path, spec=spec, workers=workers)


def _read_rows(path: Path, classes: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    packed = read_records(path, PackedRow, stage="pack")
    index = {class_name: k for k, class_name in enumerate(classes)}
    for row in packed:
        if row.label not in index:
            raise ArtifactError(f"{path}: unknown class {row.label!r}; {CURE}")
    labels = np.array([index[row.label] for row in packed], dtype=np.int64)
    return tuple(row.path for row in packed), labels
