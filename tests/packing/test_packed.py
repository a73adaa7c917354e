"""Images decoded once are the images decoded alone, byte for byte."""

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.archive import write_archive
from pipeline.core.artifacts import Sample
from pipeline.core.errors import ArtifactError, DataError
from pipeline.imaging.preprocess import pixels_from_bytes
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.packed import read_packed, write_packed

SPEC = PreprocessSpec(size_px=16)
REPOSITORY = Path(__file__).parents[2]
HOSTILE = ("cat/=cmd.jpg", 'cat/a "b", c.jpg', "cat/new\nline.jpg", "cat/犬 🐶.jpg")


def jpeg(seed: int, *, mode: str = "RGB") -> bytes:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*rng.integers(20, 60, 2), 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


def sample(path: str, split: str = "train") -> Sample:
    return Sample(
        path=path,
        label=path.partition("/")[0],
        split=split,
        sha256="0" * 64,
        width=30,
        height=30,
        group="0" * 12,
        source=path,
    )


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture
def contents() -> dict[str, bytes]:
    odd = {f"dog/{mode}.jpg": jpeg(5, mode=mode) for mode in ("CMYK", "L")}
    return odd | {name: jpeg(k) for k, name in enumerate(HOSTILE)}


@pytest.fixture
def pack(tmp_path):
    """Pack images of an archive; return the folder."""

    def packing(contents, samples, *, workers: int = 1, name: str = "packed") -> Path:
        archive = tmp_path / "raw.zip"
        write_archive(archive, [(path, path, contents[path]) for path in sorted(contents)])
        folder = tmp_path / name
        write_packed(folder, archive_path=archive, samples=samples, spec=SPEC, workers=workers)
        return folder

    return packing


def test_packed_images_equal_images_decoded_alone(pack, contents):
    packed = read_packed(pack(contents, [sample(path) for path in contents]))
    assert packed.train.paths == tuple(contents)
    assert packed.train.pixels.shape == (6, 16, 16, 3)
    for path, pixels in zip(packed.train.paths, packed.train.pixels, strict=True):
        assert np.array_equal(pixels, pixels_from_bytes(contents[path], SPEC))


def test_labels_classes_and_spec_are_read_back(pack, contents):
    splits = ("test", "valid", "train", "train", "train", "train")
    samples = [sample(path, split) for path, split in zip(contents, splits, strict=True)]
    packed = read_packed(pack(contents, samples))
    assert (packed.classes, packed.preprocess) == (("cat", "dog"), SPEC)
    assert (packed.test.paths, packed.test.labels.tolist()) == (("dog/CMYK.jpg",), [1])
    assert (packed.valid.paths, packed.valid.labels.tolist()) == (("dog/L.jpg",), [1])
    assert (packed.train.paths, packed.train.labels.tolist()) == (HOSTILE, [0, 0, 0, 0])
    assert packed.train.labels.dtype == np.int64
    assert [len(s) for s in (packed.train, packed.valid, packed.test)] == [4, 1, 1]


def test_an_empty_split_is_an_empty_array(pack, contents):
    packed = read_packed(pack(contents, [sample(path) for path in contents]))
    assert packed.valid.pixels.shape == (0, 16, 16, 3)
    assert (len(packed.valid), packed.valid.paths) == (0, ())


def test_pixels_are_a_read_only_memory_map(pack, contents):
    pixels = read_packed(pack(contents, [sample(path) for path in contents])).train.pixels
    assert isinstance(pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        pixels[0] = 0


def test_the_files_are_the_same_for_any_number_of_workers(pack):
    contents = {f"{label}/{k:03d}.jpg": jpeg(k) for label in ("cat", "dog") for k in range(260)}
    samples = [sample(p, "test" if p.endswith("0.jpg") else "train") for p in contents]
    one = pack(contents, samples, workers=1, name="one")
    two = pack(contents, samples, workers=2, name="two")
    assert hashes(one) == hashes(two)
    assert set(hashes(one)) == {
        *("train.npy", "valid.npy", "test.npy"),
        *("train.csv", "valid.csv", "test.csv", "spec.json"),
    }


def test_packing_again_replaces_the_folder_and_what_a_killed_run_left(pack, contents):
    folder = pack(contents, [sample(path) for path in contents])
    (folder / "old.npy").write_bytes(b"old")
    orphan = folder.with_name(".tmp-packed")
    orphan.mkdir()
    (orphan / "half.npy").write_bytes(b"half")
    pack(contents, [sample("cat/=cmd.jpg"), sample("dog/L.jpg")])
    assert "old.npy" not in hashes(folder)
    assert not orphan.exists()
    assert len(read_packed(folder).train) == 2


def test_an_image_that_split_could_decode_and_pack_cannot_is_named(pack, contents, tmp_path):
    contents["dog/L.jpg"] = contents["dog/L.jpg"][:100]
    with pytest.raises(DataError, match=r"dog/L.jpg: cannot be decoded.*run: dvc repro split"):
        pack(contents, [sample(path) for path in contents])
    assert [path.name for path in tmp_path.iterdir()] == ["raw.zip"]


def test_an_image_that_another_process_cannot_decode_is_named(pack):
    contents = {f"cat/{k:03d}.jpg": jpeg(k) for k in range(201)} | {"cat/x.jpg": b"junk"}
    with pytest.raises(DataError, match=r"cat/x.jpg: cannot be decoded.*run: dvc repro split"):
        pack(contents, [sample(path) for path in contents], workers=2)


def test_an_image_that_the_archive_lacks_is_named(pack, contents):
    with pytest.raises(ArtifactError, match=r"raw.zip: cat/9.jpg: .*run: dvc repro download"):
        pack(contents, [sample("cat/9.jpg")])


def test_a_split_of_another_name_is_refused(pack, contents):
    with pytest.raises(ArtifactError, match=r"split 'holdout'; run: dvc repro split"):
        pack(contents, [sample("dog/L.jpg", split="holdout")])


def test_a_missing_folder_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(ArtifactError, match=r"spec.json: not found; run: dvc repro pack"):
        read_packed(tmp_path / "packed")


def no_magic(folder: Path) -> None:
    (folder / "train.npy").write_bytes(b"not an array at all, but long enough for a header" * 9)


def cut_short(folder: Path) -> None:
    path = folder / "train.npy"
    path.write_bytes(path.read_bytes()[:-100])


def emptied(folder: Path) -> None:
    (folder / "train.npy").write_bytes(b"")


def removed(folder: Path) -> None:
    (folder / "train.npy").unlink()


def of_floats(folder: Path) -> None:
    np.save(folder / "train.npy", np.zeros((6, 16, 16, 3)))


def row_missing(folder: Path) -> None:
    lines = (folder / "train.csv").read_text().splitlines(keepends=True)
    (folder / "train.csv").write_text("".join(lines[:2]))


def other_columns(folder: Path) -> None:
    (folder / "train.csv").write_text("a,b\n")


def other_class(folder: Path) -> None:
    text = (folder / "train.csv").read_text()
    (folder / "train.csv").write_text(text.replace("L.jpg,dog", "L.jpg,fox"))


def spec_cut(folder: Path) -> None:
    (folder / "spec.json").write_text("{")


def spec_of_another_version(folder: Path) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    spec["preprocess"]["colours"] = "BGR"
    (folder / "spec.json").write_text(json.dumps(spec))


def spec_without_classes(folder: Path) -> None:
    (folder / "spec.json").write_text("[]")


@pytest.mark.parametrize(
    "damage",
    [
        *(no_magic, cut_short, emptied, removed, of_floats, row_missing, other_columns),
        *(other_class, spec_cut, spec_of_another_version, spec_without_classes),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line_with_its_cure(pack, contents, damage):
    folder = pack(contents, [sample(path) for path in contents])
    damage(folder)
    with pytest.raises(ArtifactError, match=r"run: dvc repro pack") as caught:
        read_packed(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_disk_that_is_too_small_is_an_error_before_any_image_is_decoded(tmp_path):
    # A limit on the size of files stands for the full disk: both refuse to allocate.
    write_archive(tmp_path / "raw.zip", [("cat/a.jpg", "a", jpeg(1))])
    code = f"""
import resource
from pathlib import Path
from pipeline.core.errors import ArtifactError
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.packed import write_packed
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_packed import sample
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    write_packed(Path("packed"), archive_path=Path("raw.zip"), samples=[sample("cat/a.jpg")],
                 spec=PreprocessSpec(size_px=1024), workers=1)
except ArtifactError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "packed: cannot be written: File too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["raw.zip"]
