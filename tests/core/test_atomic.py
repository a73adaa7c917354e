"""Files are written whole or not at all."""

import hashlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pipeline.core import atomic
from pipeline.core.atomic import (
    check_sha256,
    replacing,
    replacing_folder,
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_old_folder_is_removed_leaves_no_part_of_it(
    tmp_path, monkeypatch, number
):
    out, heard, remove = tmp_path / "out", [], shutil.rmtree

    def interrupted(path, **options):
        signal.raise_signal(number)
        remove(path, **options)

    def write(text):
        with replacing_folder(out) as folder:
            (folder / "file").write_text(text)

    write("old")
    monkeypatch.setattr(atomic.shutil, "rmtree", interrupted)
    before = signal.signal(number, lambda *_: heard.append(names_in(tmp_path)))
    try:
        write("new")
    finally:
        signal.signal(number, before)
    assert heard == [["out"]]
    assert (out / "file").read_text() == "new"


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


def test_a_link_in_the_way_is_not_written_through_nor_replaced(tmp_path):
    (tmp_path / "outside").write_bytes(b"mine")
    (tmp_path / "a").symlink_to(tmp_path / "outside")
    (tmp_path / "b").symlink_to("nowhere")
    for name in ("a", "b"):
        with pytest.raises(ArtifactError, match=f"{name}: cannot be written: it is a link"):
            write_bytes(tmp_path / name, b"new")
    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert names_in(tmp_path) == ["a", "b", "outside"]


def _start(code, *arguments):
    code = "import sys; from pathlib import Path; from pipeline.core.atomic import *\n" + code
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _all_at_once(code, path, n):
    """Run `n` processes that begin together; return what each wrote to stderr."""
    processes = [_start("print(flush=True); input()\n" + code, path) for _ in range(n)]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [(p.communicate()[1], p.returncode) for p in processes]


@pytest.mark.slow
def test_fifty_writers_of_one_file_at_once_all_succeed(tmp_path):
    path = tmp_path / "a"
    code = (
        "for _ in range(20):\n"
        "    with replacing(Path(sys.argv[1])) as file:\n"
        "        for _ in range(20): file.write(b'x' * 50_000); file.flush()\n"
    )
    assert set(_all_at_once(code, path, 50)) == {("", 0)}
    assert path.read_bytes() == b"x" * 1_000_000
    assert names_in(tmp_path) == ["a"]


@pytest.mark.slow
def test_fifty_writers_of_one_folder_at_once_all_succeed(tmp_path):
    path = tmp_path / "a"
    code = (
        "for _ in range(10):\n"
        "    with replacing_folder(Path(sys.argv[1])) as folder:\n"
        "        for name in 'xyz': (folder / name).write_text(name * 9)\n"
    )
    assert set(_all_at_once(code, path, 50)) == {("", 0)}
    assert {file.name: file.read_text() for file in path.iterdir()} == {n: n * 9 for n in "xyz"}
    assert names_in(tmp_path) == ["a"]


def test_what_a_live_writer_has_is_no_orphan(tmp_path):
    path = tmp_path / "a"
    code = "with replacing(Path(sys.argv[1])) as f: f.write(b'slow'); print(flush=True); input()\n"
    slow = _start(code, path)
    slow.stdout.readline()
    write_bytes(path, b"quick")
    assert path.read_bytes() == b"quick"
    assert slow.communicate("\n")[1] == ""
    assert path.read_bytes() == b"slow"
    assert names_in(tmp_path) == ["a"]


def test_a_folder_takes_the_place_of_the_old_one_as_a_whole(tmp_path):
    path = tmp_path / "packed"
    for name in ("one", "two"):
        with replacing_folder(path) as folder:
            (folder / name / "inner").mkdir(parents=True)
            (folder / name / "inner/file").write_text(name)
        assert [str(p.relative_to(path)) for p in path.rglob("file")] == [f"{name}/inner/file"]
        assert names_in(tmp_path) == ["packed"]
        assert path.stat().st_mode & 0o7777 == 0o755


def _fill_and_fail(path):
    with replacing_folder(path) as folder:
        (folder / "file").write_text("new")
        raise ZeroDivisionError


def test_a_failing_writer_leaves_the_old_folder_and_no_other(tmp_path):
    path = tmp_path / "packed"
    with replacing_folder(path) as folder:
        (folder / "file").write_text("old")
    with pytest.raises(ZeroDivisionError):
        _fill_and_fail(path)
    assert (path / "file").read_text() == "old"
    assert names_in(tmp_path) == ["packed"]


def test_where_names_cannot_be_exchanged_the_old_folder_steps_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    path = tmp_path / "packed"
    path.mkdir()
    (path / "file").write_text("old")
    with replacing_folder(path) as folder:
        (folder / "file").write_text("new")
    assert (path / "file").read_text() == "new"
    assert names_in(tmp_path) == ["packed"]


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_folder_and_the_next_writer_cleans_up(tmp_path):
    path = tmp_path / "packed"
    code = (
        "print(flush=True)\n"
        "for i in range(10**6):\n"
        "    with replacing_folder(Path(sys.argv[1])) as folder:\n"
        "        for k in range(20): (folder / str(k)).write_text(str(i))\n"
    )
    for number in range(20):
        process = _start(code, path)
        process.stdout.readline()
        time.sleep(0.01 + number * 0.003)
        process.kill()
        process.communicate()
        if path.exists() or number:
            assert len({file.read_text() for file in path.iterdir()}) == 1
            assert len(list(path.iterdir())) == 20
        with replacing_folder(path) as folder:
            for k in range(20):
                (folder / str(k)).write_text("next")
        assert names_in(tmp_path) == ["packed"]


def test_a_file_or_a_link_in_the_way_of_a_folder_gives_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path)
    for name, why in (("file", "Not a directory"), ("link", "it is a link")):
        with (
            pytest.raises(ArtifactError, match=f"{name}: cannot be written: {why}"),
            replacing_folder(tmp_path / name),
        ):
            raise AssertionError("nothing to write to")
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert names_in(tmp_path) == ["file", "link"]


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
