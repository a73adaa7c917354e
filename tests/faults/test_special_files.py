"""A folder of the user's own with things in it that are no files: named, and never waited for."""

import os
import resource
import socket
from pathlib import Path

import pytest
from faults.projects import Project
from peak_memory import WATCHED, left_bytes
from PIL import Image
from tiny import TINY, copy_project

from pipeline.core.archive import RawArchive

pytestmark = pytest.mark.slow

SPARSE_BYTES = 8 * 2**30
HIGHEST_MB = 500


@pytest.fixture
def odd_folder(tmp_path, monkeypatch) -> Path:
    """Two classes, and every special thing that a folder can hold."""
    folder = tmp_path / "odd"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for k in range(3):
            Image.new("RGB", (20, 20), (k, k, k)).save(folder / label / f"{k}.png")
    os.mkfifo(folder / "cat/pipe.jpg")
    monkeypatch.chdir(folder)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("cat/socket.jpg")
    (folder / "cat/zero.jpg").symlink_to("/dev/zero")
    (folder / "cat/again.jpg").symlink_to("0.png")
    (folder / "cat/nowhere.jpg").symlink_to("nowhere")
    (folder / "dog/up").symlink_to("..")
    (folder / "dog/self").symlink_to("self")
    with (folder / "dog/sparse.jpg").open("wb") as file:
        file.truncate(SPARSE_BYTES)
    if os.geteuid() == 0:
        os.mknod(folder / "dog/device.jpg", 0o20644, os.makedev(1, 5))
    return folder


def test_special_files_are_left_out_and_said_to_be(odd_folder, tmp_path):
    root = copy_project(tmp_path / "project", values={**TINY, "data.source": str(odd_folder)})
    (tmp_path / "watched.py").write_text(WATCHED)
    running = Project(root).start(
        "download", script=tmp_path / "watched.py", PEAK_FILE=str(tmp_path / "peak")
    )
    ended = running.end()
    errors = ended.errors
    assert ended.status == 0, errors
    assert left_bytes(tmp_path / "peak") < HIGHEST_MB * 10**6
    left_out = next(line for line in errors.splitlines() if "left out" in line)
    special = 3 if os.geteuid() == 0 else 2
    for words in ("5 links", f"{special} special files", "1 files of more than"):
        assert words in left_out, left_out
    with RawArchive(root / "data/raw.zip") as archive:
        names = [member.path for member in archive.members]
    assert names == [f"{label}/{k}.png" for label in ("cat", "dog") for k in range(3)]


def test_special_files_do_not_use_up_the_disk(odd_folder, tmp_path):
    root = copy_project(tmp_path / "project", values={**TINY, "data.source": str(odd_folder)})
    running = Project(root).start(
        "download",
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10 * 2**20, 10 * 2**20)),
    )
    ended = running.end()
    assert ended.status == 0, ended.errors
    assert ended.seconds < 60
