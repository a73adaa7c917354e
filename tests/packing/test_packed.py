"""Packed images are the images decoded alone, byte for byte, however they are kept."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from jpegs import archive_of, jpeg, sample

from pipeline.core.errors import ArtifactError, DataError
from pipeline.core.params import PackParams
from pipeline.imaging.preprocess import FITS, pixels_from_bytes
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.packed import MODES, read_packed, write_packed

SPEC = PreprocessSpec(size_px=16)
REPOSITORY = Path(__file__).parents[2]
HOSTILE = ("cat/=cmd.jpg", 'cat/a "b", c.jpg', "cat/new\nline.jpg", "cat/犬 🐶.jpg")


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def run_python(code: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.fixture
def contents() -> dict[str, bytes]:
    odd = {f"dog/{mode}.jpg": jpeg(5, mode=mode) for mode in ("CMYK", "L")}
    return odd | {name: jpeg(k) for k, name in enumerate(HOSTILE)}


@pytest.fixture
def pack(tmp_path):
    """Pack images of an archive; return the folder."""

    def packing(contents, splits=None, *, name="packed", spec=SPEC, **options) -> Path:
        archive = archive_of(tmp_path / "raw.zip", contents)
        splits = dict.fromkeys(contents, "train") if splits is None else splits
        samples = [sample(path, contents[path], split) for path, split in splits.items()]
        folder = tmp_path / name
        options = {"workers": 1, **options}
        write_packed(folder, archive_path=archive, samples=samples, spec=spec, **options)
        return folder

    return packing


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("mode", MODES)
def test_packed_images_equal_images_decoded_alone(pack, contents, mode, fit):
    spec = PreprocessSpec(size_px=16, fit=fit)
    packed = read_packed(pack(contents, mode=mode, spec=spec))
    assert packed.preprocess == spec
    assert packed.train.paths == tuple(contents)
    assert packed.train.pixels.shape == (6, 16, 16, 3)
    for row, path in enumerate(packed.train.paths):
        expected = pixels_from_bytes(contents[path], spec)
        assert np.array_equal(packed.train.pixels[row], expected)


@pytest.mark.parametrize("mode", MODES)
def test_labels_classes_and_spec_are_read_back(pack, contents, mode):
    splits = ("test", "valid", "train", "train", "train", "train")
    packed = read_packed(pack(contents, dict(zip(contents, splits, strict=True)), mode=mode))
    assert (packed.classes, packed.preprocess) == (("cat", "dog"), SPEC)
    assert (packed.test.paths, packed.test.labels.tolist()) == (("dog/CMYK.jpg",), [1])
    assert (packed.valid.paths, packed.valid.labels.tolist()) == (("dog/L.jpg",), [1])
    assert (packed.train.paths, packed.train.labels.tolist()) == (HOSTILE, [0, 0, 0, 0])
    assert packed.train.labels.dtype == np.int64
    assert [len(s) for s in (packed.train, packed.valid, packed.test)] == [4, 1, 1]


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_split_has_no_pixels(pack, contents, mode):
    packed = read_packed(pack(contents, mode=mode))
    assert packed.valid.pixels.shape == (0, 16, 16, 3)
    assert packed.valid.pixels[:].shape == (0, 16, 16, 3)
    assert (len(packed.valid), packed.valid.paths) == (0, ())


def test_pixels_are_a_read_only_memory_map(pack, contents):
    pixels = read_packed(pack(contents)).train.pixels
    assert isinstance(pixels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        pixels[0] = 0


def test_arrays_are_files_that_numpy_reads(pack, contents):
    pixels = np.load(pack(contents) / "train.npy")
    assert pixels.flags.c_contiguous
    assert np.array_equal(pixels[3], pixels_from_bytes(contents[HOSTILE[1]], SPEC))


def test_encoded_images_lie_back_to_back_in_row_order(pack):
    contents = {"cat/b.jpg": jpeg(1), "cat/a.jpg": jpeg(2), "dog/a.jpg": jpeg(3)}
    folder = pack(contents, mode="stream")
    assert (folder / "train.bytes").read_bytes() == b"".join(contents.values())
    b, a, _ = map(len, contents.values())
    total = sum(map(len, contents.values()))
    assert np.load(folder / "train.offsets.npy").tolist() == [0, b, a + b, total]


@pytest.mark.parametrize("mode", MODES)
def test_the_files_are_the_same_for_any_number_of_workers(pack, mode):
    contents = {f"{label}/{k:03d}.jpg": jpeg(k) for label in ("cat", "dog") for k in range(130)}
    splits = {p: "test" if p.endswith("0.jpg") else "train" for p in contents}
    one = hashes(pack(contents, splits, mode=mode, workers=1, name="one"))
    assert one == hashes(pack(contents, splits, mode=mode, workers=3, name="three"))
    kinds = ("csv", "npy") if mode == "array" else ("csv", "bytes", "offsets.npy")
    names = {f"{name}.{kind}" for name in ("train", "valid", "test") for kind in kinds}
    assert set(one) == {*names, "spec.json"}


def test_packing_again_replaces_the_folder_and_what_a_killed_run_left(pack, contents):
    folder = pack(contents)
    (folder / "old.npy").write_bytes(b"old")
    orphan = folder.with_name(".tmp-packed-0123abcd")
    orphan.mkdir()
    (orphan / "half.npy").write_bytes(b"half")
    pack(contents, {"cat/=cmd.jpg": "train", "dog/L.jpg": "train"}, mode="stream")
    assert not {"old.npy", "train.npy"} & set(hashes(folder))
    assert not orphan.exists()
    assert len(read_packed(folder).train) == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_is_killed_leaves_the_folder_as_it_was(pack, contents, tmp_path, mode):
    folder = pack(contents, {"dog/L.jpg": "train"})
    before = hashes(folder)
    code = f"""
import os, signal
from pathlib import Path
from jpegs import sample
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.packed import write_packed
contents = {contents!r}
write_packed(Path("packed"), archive_path=Path("raw.zip"), spec=PreprocessSpec(size_px=16),
             samples=[sample(path, content) for path, content in contents.items()], workers=1,
             mode={mode!r}, on_progress=lambda n: os.kill(os.getpid(), signal.SIGKILL))
"""
    assert run_python(code, cwd=tmp_path).returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".tmp-packed-*"))) == 1
    assert hashes(folder) == before
    pack(contents)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packed", "raw.zip"]


@pytest.mark.parametrize("mode", MODES)
def test_an_image_that_changed_since_split_is_named(pack, contents, tmp_path, mode):
    samples = [sample("dog/L.jpg", b"other bytes")]
    archive = archive_of(tmp_path / "raw.zip", contents)
    with pytest.raises(DataError, match=r"^dog/L.jpg: its bytes .*raw.zip.*run: dvc repro split"):
        write_packed(
            tmp_path / "packed",
            archive_path=archive,
            samples=samples,
            spec=SPEC,
            mode=mode,
            workers=1,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["raw.zip"]


def test_an_image_that_split_could_decode_and_pack_cannot_is_named(pack, contents, tmp_path):
    contents["dog/L.jpg"] = contents["dog/L.jpg"][:100]
    with pytest.raises(DataError, match=r"dog/L.jpg: cannot be decoded.*run: dvc repro split"):
        pack(contents)
    assert [path.name for path in tmp_path.iterdir()] == ["raw.zip"]


def test_an_image_that_another_process_cannot_decode_is_named(pack):
    contents = {f"cat/{k:03d}.jpg": jpeg(k) for k in range(70)} | {"cat/x.jpg": b"junk"}
    with pytest.raises(DataError, match=r"cat/x.jpg: cannot be decoded.*run: dvc repro split"):
        pack(contents, workers=2)


@pytest.mark.parametrize("mode", MODES)
def test_an_image_that_the_archive_lacks_is_named(contents, tmp_path, mode):
    archive = archive_of(tmp_path / "raw.zip", contents)
    with pytest.raises(ArtifactError, match=r"raw.zip: cat/9.jpg: .*run: dvc repro split"):
        write_packed(
            tmp_path / "packed",
            archive_path=archive,
            samples=[sample("cat/9.jpg", b"")],
            spec=SPEC,
            mode=mode,
            workers=1,
        )


def test_a_split_of_another_name_is_refused(pack, contents):
    with pytest.raises(ArtifactError, match=r"split 'holdout'; run: dvc repro split"):
        pack(contents, {"dog/L.jpg": "holdout"})


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


def without_its_last_image(folder: Path) -> None:
    path = folder / "train.bytes"
    path.write_bytes(path.read_bytes()[:-100])


def without_bytes(folder: Path) -> None:
    (folder / "train.bytes").unlink()


def without_offsets(folder: Path) -> None:
    (folder / "train.offsets.npy").unlink()


def offsets_of_another_kind(folder: Path) -> None:
    offsets = np.load(folder / "train.offsets.npy")
    np.save(folder / "train.offsets.npy", offsets.astype(np.float64))


def offsets_cut_short(folder: Path) -> None:
    path = folder / "train.offsets.npy"
    path.write_bytes(path.read_bytes()[:-8])


def offsets_out_of_order(folder: Path) -> None:
    offsets = np.load(folder / "train.offsets.npy")
    offsets[[1, 2]] = offsets[[2, 1]]
    np.save(folder / "train.offsets.npy", offsets)


def of_another_mode(folder: Path) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps({**spec, "mode": "tape"}))


def spec_cut(folder: Path) -> None:
    (folder / "spec.json").write_text("{")


def spec_of_another_version(folder: Path) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    spec["preprocess"]["colours"] = "BGR"
    (folder / "spec.json").write_text(json.dumps(spec))


def spec_without_classes(folder: Path) -> None:
    (folder / "spec.json").write_text("[]")


@pytest.mark.parametrize(
    ("mode", "damage"),
    [
        *(("array", d) for d in (no_magic, cut_short, emptied, removed, of_floats)),
        *(("stream", d) for d in (without_its_last_image, without_bytes, without_offsets)),
        *(("stream", d) for d in (offsets_of_another_kind, offsets_cut_short)),
        ("stream", offsets_out_of_order),
        *((m, d) for m in MODES for d in (row_missing, other_columns, other_class, spec_cut)),
        *(("array", d) for d in (spec_of_another_version, spec_without_classes, of_another_mode)),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line_with_its_cure(pack, contents, mode, damage):
    folder = pack(contents, mode=mode)
    damage(folder)
    with pytest.raises(ArtifactError, match=r"run: dvc repro pack") as caught:
        read_packed(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("mode", "limit_bytes"), [("array", 2**20), ("stream", 1000)])
def test_a_disk_that_is_too_small_is_an_error_that_leaves_nothing(tmp_path, mode, limit_bytes):
    # A limit on the size of files stands for the full disk: the writer is refused as there.
    archive_of(tmp_path / "raw.zip", {"cat/a.jpg": jpeg(1)})
    code = f"""
import resource
from pathlib import Path
from jpegs import jpeg, sample
from pipeline.core.errors import ArtifactError
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.packed import write_packed
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))
try:
    write_packed(Path("packed"), archive_path=Path("raw.zip"), workers=1, mode={mode!r},
                 samples=[sample("cat/a.jpg", jpeg(1))], spec=PreprocessSpec(size_px=1024))
except ArtifactError as error:
    print(error)
"""
    assert run_python(code, cwd=tmp_path).stdout == "packed: cannot be written: File too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["raw.zip"]


def test_params_allow_just_the_modes_that_exist():
    assert get_args(get_type_hints(PackParams)["mode"]) == MODES
