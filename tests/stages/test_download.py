"""The download stage as a whole."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.archive import RawArchive
from pipeline.core.errors import ParamsError
from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from stages.download import run

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def with_data():
    """Return the repository's params with other values in section data."""
    params = load_params(REPOSITORY / "params.yaml")

    def make(**values):
        return replace(params, data=replace(params.data, **values))

    return make


@pytest.fixture
def pets(tmp_path):
    """A small archive in the folder of a repository."""
    path = tmp_path / "repository/pets.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("cat/2.jpg", "cat/1.jpg", "dog/1.jpg"):
            archive.writestr(f"pets/{name}", name)
    return path


def test_an_archive_becomes_raw_zip(with_data, pets, tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setenv("DVC_ROOT", str(pets.parent))
    run(with_data(source="pets.zip"), Layout(tmp_path))
    with RawArchive(tmp_path / "data/raw.zip") as archive:
        assert [(m.path, m.source) for m in archive.members] == [
            ("cat/1.jpg", "pets/cat/1.jpg"),
            ("cat/2.jpg", "pets/cat/2.jpg"),
            ("dog/1.jpg", "pets/dog/1.jpg"),
        ]
    assert caplog.messages[-1] == "3 images in 2 classes (cat 2, dog 1)"


def test_what_killed_downloads_left_is_gone_after_a_success(with_data, pets, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/.download-0123-4567.part").write_bytes(b"half")
    (tmp_path / "data/.tmp-raw.zip-abc").write_bytes(b"half")
    run(with_data(source=str(pets)), Layout(tmp_path))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["raw.zip"]


def test_synthetic_images_are_drawn_the_same_every_time(with_data, tmp_path, caplog):
    caplog.set_level("INFO")
    params = with_data(source="synthetic", synthetic_images=60)
    for name in ("one", "two"):
        run(params, Layout(tmp_path / name))
    one, two = (tmp_path / name / "data/raw.zip" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    with RawArchive(one) as archive:
        assert {member.label for member in archive.members} == {"cat", "dog"}
        assert f"{len(archive.members)} images in 2 classes (cat " in caplog.text


def test_a_checksum_for_synthetic_images_is_refused(with_data, tmp_path):
    params = with_data(source="synthetic", sha256="0" * 64)
    with pytest.raises(ParamsError, match=r"data.sha256: synthetic has no checksum"):
        run(params, Layout(tmp_path))


def test_a_wrong_source_ends_with_one_line_and_status_1(tmp_path):
    params = (REPOSITORY / "params.yaml").read_text().replace("source: synthetic", "source: dogz")
    (tmp_path / "params.yaml").write_text(params)
    for package in ("pipeline", "stages"):
        shutil.copytree(REPOSITORY / package, tmp_path / package)
    done = subprocess.run(
        [sys.executable, "-m", "stages.download"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "", "DVC_ROOT": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "download: error: data.source: 'dogz' is neither a preset (synthetic, " in done.stderr
