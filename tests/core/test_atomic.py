"""Files are written whole or not at all."""

import hashlib
import subprocess
import sys

import pytest

from pipeline.core.atomic import (
    check_sha256,
    replacing,
    sha256_file,
    sha256_path,
    write_bytes,
    write_json,
    write_sha256,
)
from pipeline.core.errors import ArtifactError


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def _write_and_fail(path):
    with replacing(path) as file:
        file.write(b"new")
        raise ZeroDivisionError


def test_a_failing_writer_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")
    with pytest.raises(ZeroDivisionError):
        _write_and_fail(path)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.txt"]


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path):
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from pipeline.core.atomic import replacing\n"
        "with replacing(Path(sys.argv[1])) as file:\n"
        "    file.write(b'new' * 100000); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.read_bytes() == b"old"
    assert len(names_in(tmp_path)) == 2
    write_bytes(path, b"newer")
    assert names_in(tmp_path) == ["a.txt"]


def test_a_folder_in_the_way_gives_one_line(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(ArtifactError, match=r"a\.txt: cannot be written: Is a directory"):
        write_bytes(tmp_path / "a.txt", b"")


def test_a_full_disk_gives_one_line_and_leaves_nothing(tmp_path):
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from pipeline.core.atomic import write_bytes\n"
        "from pipeline.core.errors import ArtifactError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_bytes(Path(sys.argv[1]), bytes(5000))\n"
        "except ArtifactError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "a: cannot be written: File too large" in run.stdout
    assert names_in(tmp_path) == []


def test_nan_is_not_written_as_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert names_in(tmp_path) == []


def test_sha256_is_that_of_hashlib_and_sha256sum_agrees(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"abc" * 1_000_000)
    assert sha256_file(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    write_sha256(path)
    subprocess.run(["sha256sum", "--check", "--quiet", "a.sha256"], cwd=tmp_path, check=True)


def test_one_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "model.pt"
    write_bytes(path, bytes(range(256)))
    write_sha256(path)
    check_sha256(path, stage="train")
    for position in range(256):
        content = bytearray(range(256))
        content[position] ^= 1 << position % 8
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match="the file is damaged: run dvc checkout"):
            check_sha256(path, stage="train")


def test_a_missing_checksum_is_named_with_the_cure(tmp_path):
    write_bytes(tmp_path / "m", b"")
    with pytest.raises(ArtifactError, match=r"m\.sha256: not found; run: dvc repro train"):
        check_sha256(tmp_path / "m", stage="train")
    sha256_path(tmp_path / "m").write_text("")
    with pytest.raises(ArtifactError, match="says nothing"):
        check_sha256(tmp_path / "m", stage="train")
