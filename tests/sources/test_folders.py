"""A folder of the user's own: read, never changed, nothing special in it followed or waited for."""

import os
import socket

import pytest

from pipeline.core.errors import DataError
from pipeline.sources.collect import collect
from pipeline.sources.limits import ArchiveLimits

PETS = [("cat/1.jpg", b"meow"), ("dog/1.jpg", b"woof")]
CONTENTS = {name: (name, content) for name, content in PETS}


def test_links_pipes_and_sockets_are_skipped_and_counted(
    make_folder, gather, caplog, tmp_path, monkeypatch
):
    caplog.set_level("INFO")
    folder = make_folder([*PETS, ("secret.jpg", b"outside")])
    (folder / "secret.jpg").rename(tmp_path / "secret.jpg")
    (folder / "cat/link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "cat/zero.jpg").symlink_to("/dev/zero")
    (folder / "dog/loop").symlink_to(folder)
    os.mkfifo(folder / "dog/pipe.jpg")
    monkeypatch.chdir(folder / "dog")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("socket.jpg")
        assert gather(folder) == CONTENTS
    assert "left out: 3 links, 2 special files" in caplog.text


def test_a_source_folder_that_is_a_link_is_followed(make_folder, gather, tmp_path):
    (tmp_path / "link").symlink_to(make_folder(PETS))
    assert gather("link") == CONTENTS


def test_a_file_too_large_to_be_an_image_is_skipped_and_counted(
    make_folder, target, tmp_path, caplog
):
    caplog.set_level("INFO")
    folder = make_folder([*PETS, ("dog/film.mp4", b"")])
    os.truncate(folder / "dog/film.mp4", 8 * 10**9)  # sparse
    collected = collect(str(folder), target, sha256=None, root=tmp_path)
    assert collected.counts == {"cat": 1, "dog": 1}
    assert "left out: 1 files of more than 52428800 bytes" in caplog.text


def test_the_sum_of_all_files_is_bounded(make_folder, target, tmp_path):
    folder = make_folder([("cat/1.jpg", b"x" * 60), ("dog/1.jpg", b"x" * 60)])
    with pytest.raises(DataError, match="more than 100 bytes;"):
        collect(
            str(folder), target, sha256=None, root=tmp_path, limits=ArchiveLimits(total_bytes=100)
        )


def test_hidden_folders_are_not_entered(make_folder, gather):
    folder = make_folder([*PETS, (".git/objects/1.jpg", b"x"), ("cat/.ipynb_checkpoints/1", b"x")])
    assert gather(folder) == CONTENTS


def test_names_that_are_not_utf8_stay_readable_as_the_source(make_folder, gather):
    odd = os.fsdecode(b"caf\xe9.jpg")
    members = gather(make_folder([*PETS, (f"cat/{odd}", b"x")]))
    assert members["cat/caf_.jpg"] == ("cat/caf\\xe9.jpg", b"x")


def test_a_backslash_is_part_of_a_name_here(make_folder, gather):
    members = gather(make_folder([*PETS, ("cat/a\\b.jpg", b"x")]))
    assert members["cat/a_b.jpg"] == ("cat/a\\b.jpg", b"x")


def test_the_folder_is_left_as_it_was(make_folder, gather):
    folder = make_folder(PETS)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    gather(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.usefixtures("untouched")
def test_an_empty_folder_is_refused(tmp_path, gather):
    (tmp_path / "source").mkdir()
    with pytest.raises(DataError, match="holds no files"):
        gather(tmp_path / "source")
