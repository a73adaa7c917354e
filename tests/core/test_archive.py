"""data/raw.zip: equal bytes for equal input, and nothing but class/name."""

import zipfile

import pytest

from pipeline.core.archive import RawArchive, write_archive
from pipeline.core.errors import ArtifactError


def test_members_survive_with_their_sources(tmp_path):
    path = tmp_path / "raw.zip"
    rows = [("cat/1.jpg", "train/cat.1.jpg", b"one"), ("dög/é 2.jpg", "tést/x.jpg", b"")]
    assert write_archive(path, rows) == 2
    with RawArchive(path) as archive:
        found = [(m.path, m.source, archive.read(m.path)) for m in archive.members]
        assert [m.label for m in archive.members] == ["cat", "dög"]
    assert found == rows


def test_equal_input_gives_equal_bytes_stored(tmp_path):
    rows = [("a/1", "s", b"x" * 1000), ("b/1", "s", b"y")]
    write_archive(tmp_path / "1.zip", rows)
    write_archive(tmp_path / "2.zip", rows)
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert {i.compress_type for i in zipfile.ZipFile(tmp_path / "1.zip").infolist()} == {0}


def test_a_source_name_that_is_not_utf8_becomes_readable_text(tmp_path):
    write_archive(tmp_path / "raw.zip", [("a/1", "x\udcff.jpg", b"")])
    with RawArchive(tmp_path / "raw.zip") as archive:
        assert archive.members[0].source == "x\\xff.jpg"


@pytest.mark.parametrize("names", [["b/1", "a/1"], ["a/1", "a/1"], ["a"], ["a/b/c"]])
def test_unsorted_repeated_or_nested_names_are_refused(tmp_path, names):
    with pytest.raises(ArtifactError, match="expected sorted class/name"):
        write_archive(tmp_path / "raw.zip", [(name, "s", b"") for name in names])
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_is_named_with_the_cure(tmp_path):
    path = tmp_path / "raw.zip"
    with pytest.raises(ArtifactError, match=r"raw\.zip: not found; run: dvc repro download"):
        RawArchive(path)
    path.write_bytes(b"no zip")
    with pytest.raises(ArtifactError, match="run: dvc repro download"):
        RawArchive(path)
    write_archive(path, [("a/1", "s", b"content")])
    path.write_bytes(path.read_bytes().replace(b"content", b"c0ntent"))
    with RawArchive(path) as archive, pytest.raises(ArtifactError, match=r"a/1: Bad CRC-32"):
        archive.read("a/1")
