"""Encoded images answer to an index as an array of their pixels does."""

import multiprocessing
import os
import signal

import numpy as np
import pytest
from jpegs import archive_of, jpeg, sample

from pipeline.core.errors import ArtifactError
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.encoded import EncodedPixels, pixel_batches
from pipeline.packing.packed import read_packed, write_packed

N_IMAGES = 150  # more than a process takes at a time


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same images packed in both modes."""
    folder = tmp_path_factory.mktemp("packed")
    contents = {f"cat/{k:03d}.jpg": jpeg(k) for k in range(N_IMAGES)}
    archive = archive_of(folder / "raw.zip", contents)
    for mode in ("array", "stream"):
        write_packed(
            folder / mode,
            archive_path=archive,
            samples=[sample(path, content) for path, content in contents.items()],
            spec=PreprocessSpec(size_px=16),
            mode=mode,
            workers=1,
        )
    return folder


@pytest.fixture
def array(folders) -> np.ndarray:
    return np.array(read_packed(folders / "array").train.pixels)


@pytest.fixture
def encoded(folders) -> EncodedPixels:
    return read_packed(folders / "stream", workers=2).train.pixels


INDICES = {
    "everything": slice(None),
    "a few": slice(3, 9),
    "past the end": slice(140, 500),
    "backwards": slice(20, 4, -3),
    "nothing": slice(9, 9),
    "rows": np.array([7, 7, 149, -1, 0]),
    "no rows": np.array([], dtype=np.int64),
    "chosen": np.arange(N_IMAGES) % 50 == 3,
}


def test_shape_and_length_are_those_of_the_array(array, encoded):
    assert (encoded.shape, len(encoded)) == (array.shape, len(array))


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_an_index_gives_what_it_gives_of_the_array(array, encoded, index):
    found = encoded[index]
    assert found.dtype == np.uint8
    assert np.array_equal(found, array[index])


@pytest.mark.parametrize("row", [0, 149, -150, np.int64(5)])
def test_a_number_gives_one_image(array, encoded, row):
    assert np.array_equal(encoded[row], array[row])


@pytest.mark.parametrize("row", [150, -151, np.array([3, 150])])
def test_a_row_that_does_not_exist_is_an_index_error(encoded, row):
    with pytest.raises(IndexError):
        encoded[row]


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_are_the_same_for_any_number_of_workers(folders, array, workers):
    encoded = read_packed(folders / "stream", workers=workers).train.pixels
    order = np.random.default_rng(0).permutation(N_IMAGES)
    indices = [order[:64], order[64:128], slice(0, 0), order[128:]]
    found = list(pixel_batches(encoded, indices))
    expected = list(pixel_batches(array, indices))
    assert [len(pixels) for pixels in found] == [64, 64, 0, 22]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_batch_can_be_changed_without_changing_the_next(encoded, array):
    indices = [np.arange(4)] * 2
    for pixels in pixel_batches(encoded, indices):
        assert np.array_equal(pixels, array[:4])
        pixels[:] = 0


def test_a_killed_process_costs_time_and_nothing_else(encoded, array):
    batches = encoded.batches([slice(k, k + 5) for k in range(0, N_IMAGES, 5)])
    found = [next(batches)]
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    assert np.array_equal(np.concatenate([*found, *batches]), array)


def test_processes_end_with_the_batches_even_if_nobody_takes_them_all(encoded):
    batches = encoded.batches([slice(0, 75), slice(75, 150)])
    next(batches)
    assert multiprocessing.active_children()
    batches.close()
    assert multiprocessing.active_children() == []


def test_damaged_bytes_name_the_image_and_the_cure(encoded, folders, tmp_path):
    content = bytearray(encoded.file.read_bytes())
    start = int(encoded.offsets[7])
    content[start : start + 10] = bytes(10)
    copy = tmp_path / "train.bytes"
    copy.write_bytes(content)
    damaged = EncodedPixels(copy, encoded.offsets, encoded.paths, encoded.spec, workers=2)
    with pytest.raises(ArtifactError, match=r"train.bytes: cat/007.jpg: .*run: dvc repro pack"):
        damaged[:]
    with pytest.raises(ArtifactError, match=r"train.bytes: cat/007.jpg: .*run: dvc repro pack"):
        damaged[7]
