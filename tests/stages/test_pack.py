"""The pack stage as a whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jpegs import archive_of, jpeg, sample

from pipeline.core.artifacts import Sample, write_records
from pipeline.core.errors import ArtifactError, DataError
from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from pipeline.imaging.preprocess import pixels_from_bytes
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.packed import MODES, read_packed
from stages.pack import run

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def params():
    """The repository's parameters, small and in one process."""
    params = load_params(REPOSITORY / "params.yaml")
    return replace(
        params,
        pack=replace(params.pack, size_px=24),
        runtime=replace(params.runtime, workers=1),
    )


@pytest.fixture
def contents() -> dict[str, bytes]:
    return {f"{label}/{k}.jpg": jpeg(k + len(label)) for label in ("bird", "cat") for k in range(6)}


@pytest.fixture
def layout(tmp_path, contents) -> Layout:
    """raw.zip and split.csv of two classes."""
    layout = Layout(tmp_path)
    archive_of(layout.raw_archive, contents)
    splits = ("test", "valid", "train", "train", "train", "train")
    samples = [
        sample(path, contents[path], splits[k % 6]) for k, path in enumerate(sorted(contents))
    ]
    write_records(layout.split, samples, Sample)
    return layout


@pytest.mark.parametrize("mode", MODES)
def test_every_row_of_split_csv_is_packed_where_it_belongs(params, layout, contents, caplog, mode):
    caplog.set_level("INFO")
    run(replace(params, pack=replace(params.pack, mode=mode)), layout)
    packed = read_packed(layout.packed)
    assert packed.classes == ("bird", "cat")
    assert packed.preprocess == PreprocessSpec(size_px=24)
    assert packed.test.paths == ("bird/0.jpg", "cat/0.jpg")
    assert packed.valid.labels.tolist() == [0, 1]
    assert len(packed.train) == 8
    for split in (packed.train, packed.valid, packed.test):
        for path, pixels in zip(split.paths, split.pixels[:], strict=True):
            assert np.array_equal(pixels, pixels_from_bytes(contents[path], packed.preprocess))
    packed_how = "12 images of 24 px, fit squash (bilinear, antialiased)"
    assert caplog.messages[-1] == f"packed {packed_how}, mode {mode}"


def test_packing_twice_writes_the_same_bytes(params, layout):
    run(params, layout)
    before = {path.name: path.read_bytes() for path in layout.packed.iterdir()}
    run(params, layout)
    assert {path.name: path.read_bytes() for path in layout.packed.iterdir()} == before


def test_the_label_is_the_one_in_split_csv_not_the_folder(params, layout):
    layout.split.write_text(layout.split.read_text().replace("cat/5.jpg,cat", "cat/5.jpg,bird"))
    run(params, layout)
    train = read_packed(layout.packed).train
    assert dict(zip(train.paths, train.labels.tolist(), strict=True))["cat/5.jpg"] == 0


def test_missing_inputs_are_named_with_their_cure(params, layout):
    layout.raw_archive.unlink()
    with pytest.raises(ArtifactError, match=r"raw.zip: not found; run: dvc repro download"):
        run(params, layout)
    assert not layout.packed.exists()
    layout.split.unlink()
    with pytest.raises(ArtifactError, match=r"split.csv: not found; run: dvc repro split"):
        run(params, layout)


def test_an_image_that_changed_since_split_is_named(params, layout, contents):
    contents["cat/3.jpg"] = contents["cat/3.jpg"][:200]
    archive_of(layout.raw_archive, contents)
    with pytest.raises(DataError, match=r"cat/3.jpg: its bytes .*run: dvc repro split"):
        run(params, layout)
    assert not layout.packed.exists()
