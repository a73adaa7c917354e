"""The command line, as a user runs it."""

import csv
import io
import math
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Draw = Callable[..., bytes]
HEADER = ["path", "label", "confidence", "prob_blue", "prob_green", "prob_red", "reason"]
SURE, REST = math.exp(3) / (math.exp(3) + 2), 1 / (math.exp(3) + 2)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipeline.inference", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def rows(text: str) -> list[list[str]]:
    header, *body = csv.reader(io.StringIO(text, newline=""))
    assert header == HEADER
    return body


def failure(*arguments: object) -> str:
    """Run, expect exit status 1 and one line, return it."""
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
    assert len(errors) == 1
    assert "Traceback" not in done.stderr
    return errors[0]


@pytest.fixture
def folder(tmp_path: Path, draw: Draw) -> Path:
    top = tmp_path / "images"
    (top / "b" / "deep").mkdir(parents=True)
    (top / ".hidden").mkdir()
    (top / "z.png").write_bytes(draw((96, 0, 0)))
    (top / "a.jpeg").write_bytes(draw((0, 96, 0)))
    (top / "b" / "noextension").write_bytes(draw((0, 0, 96)))
    (top / "b" / "deep" / "bad, really.jpg").write_bytes(b"not an image")
    for name in (".DS_Store", "Thumbs.db", "README.md", "labels.csv", "x.json", ".hidden/c.png"):
        (top / name).write_bytes(b"passed over")
    return top


def test_folder_file_and_archive_give_the_probabilities_worked_by_hand(
    tmp_path: Path, model_path: Path, folder: Path, draw: Draw
) -> None:
    archive = tmp_path / "more.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("cats/2.png", draw((0, 0, 96)))
        file.writestr("cats/1.png", draw((96, 0, 0)))
        file.writestr("__MACOSX/cats/._1.png", b"passed over")
        file.writestr("cats/", b"")
        file.writestr("cats/3.png", b"bad")
    out = tmp_path / "out.csv"
    done = run(model_path, folder, archive, folder / "z.png", folder / "x.json", "--out", out)
    assert done.returncode == 0, done.stderr
    table = rows(out.read_text(encoding="utf-8"))
    sure, rest = f"{SURE:.6f}", f"{REST:.6f}"
    green = ["green", sure, rest, sure, rest, ""]
    blue = ["blue", sure, sure, rest, rest, ""]
    red = ["red", sure, rest, rest, sure, ""]
    bad = ["", "", "", "", "", "not_an_image"]
    assert table == [
        [f"{folder}/a.jpeg", *green],
        [f"{folder}/b/deep/bad, really.jpg", *bad],
        [f"{folder}/b/noextension", *blue],
        [f"{folder}/z.png", *red],
        [f"{archive}/cats/2.png", *blue],
        [f"{archive}/cats/1.png", *red],
        [f"{archive}/cats/3.png", *bad],
        [f"{folder}/z.png", *red],
        [f"{folder}/x.json", *bad],
    ]
    assert "6 images classified, 3 could not be used" in done.stderr
    assert "reasons: 3 not_an_image" in done.stderr
    assert "6 files passed over" in done.stderr


def test_without_out_the_table_goes_to_standard_output(model_path: Path, folder: Path) -> None:
    done = run(model_path, folder, "--batch-size", "1", "--workers", "1", "--device", "cpu")
    assert done.returncode == 0
    assert len(rows(done.stdout)) == 4


def test_a_pattern_gives_one_row_per_match(model_path: Path, folder: Path) -> None:
    done = run(model_path, f"{folder}/**/*e*")
    assert done.returncode == 0, done.stderr
    found = [row[0].removeprefix(f"{folder}/") for row in rows(done.stdout)]
    assert found == ["a.jpeg", "b/deep/bad, really.jpg", "b/noextension", "labels.csv"]


def test_odd_file_names_keep_their_row(model_path: Path, tmp_path: Path, draw: Draw) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    names = {b"new\nline", b'quote"comma,', b"return\rhere", b"caf\xc3\xa9", b"\xff\xfe", b"=cmd"}
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(draw((96, 0, 0)))
    out = tmp_path / "out.csv"
    assert run(model_path, folder, "--out", out).returncode == 0
    table = rows(out.read_bytes().decode("utf-8", "surrogateescape"))
    assert {os.fsencode(row[0].removeprefix(f"{folder}/")) for row in table} == names


def test_pipes_loops_and_broken_links_in_a_folder_are_rows_with_an_error(
    model_path: Path, tmp_path: Path, draw: Draw
) -> None:
    folder = tmp_path / "special"
    folder.mkdir()
    (tmp_path / "real.png").write_bytes(draw((96, 0, 0)))
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder)
    (folder / "broken").symlink_to(folder / "nowhere")
    (folder / "linked").symlink_to(tmp_path / "real.png")
    done = run(model_path, folder)
    assert done.returncode == 0
    assert [(Path(row[0]).name, row[1], row[-1]) for row in rows(done.stdout)] == [
        ("broken", "", "unreadable"),
        ("linked", "red", ""),
        ("loop", "", "unreadable"),
        ("pipe", "", "unreadable"),
    ]


def test_a_damaged_archive_member_is_a_row(model_path: Path, tmp_path: Path, draw: Draw) -> None:
    archive = tmp_path / "damaged.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.png", draw((96, 0, 0)))
        file.writestr("b.png", draw((0, 96, 0)))
    content = bytearray(archive.read_bytes())
    content[content.index(b"IDAT")] ^= 1
    archive.write_bytes(content)
    done = run(model_path, archive)
    assert done.returncode == 0
    first, second = rows(done.stdout)
    assert first[-1] == "unreadable"
    assert second[1] == "green"


def test_wrong_paths_are_one_line_and_nothing_runs(
    model_path: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "readme.txt").write_text("no image")
    torn = tmp_path / "torn.zip"
    torn.write_bytes(b"PK\x03\x04 and no more")
    os.mkfifo(tmp_path / "pipe")
    assert "nowhere: No such file" in failure(model_path, folder, "nowhere", "--out", out)
    assert "empty" in failure(model_path, empty, "--out", out)
    assert "not a readable zip" in failure(model_path, folder, torn, "--out", out)
    assert "nothing matches" in failure(model_path, tmp_path / "*.png", "--out", out)
    assert "unknown suffix" in failure(model_path, folder, "--out", tmp_path / "out.xls")
    assert "neither a file nor a folder" in failure(model_path, tmp_path / "pipe", "--out", out)
    assert "PATH" in failure(model_path, "--out", out)
    assert "batch-size" in failure(model_path, folder, "--batch-size", "0", "--out", out)
    assert "run: dvc repro export_onnx" in failure(tmp_path / "no.onnx", folder, "--out", out)
    assert not out.exists()


def test_an_encrypted_archive_is_refused(model_path: Path, tmp_path: Path, draw: Draw) -> None:
    archive = tmp_path / "secret.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.png", draw((96, 0, 0)))
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # general purpose bit 0: encrypted
    archive.write_bytes(content)
    assert "encrypted" in failure(model_path, archive)


def test_an_out_that_cannot_be_a_file_is_refused(
    model_path: Path, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "dir.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    (tmp_path / "file").write_text("")
    for name in ("dir.csv", "link.csv"):
        assert "not a regular file" in failure(model_path, folder, "--out", tmp_path / name)
    assert "not a regular file" in failure(
        model_path, folder, "--out", "/dev/null", "--format", "csv"
    )
    for name in ("missing/o.csv", "file/o.csv"):
        assert "is no folder" in failure(model_path, folder, "--out", tmp_path / name)
    assert "cannot be written" in failure(
        model_path, folder, "--out", tmp_path / f"{'x' * 250}.csv"
    )
    assert not (tmp_path / "elsewhere.csv").exists()


def test_a_list_on_standard_input(model_path: Path, folder: Path) -> None:
    listed = f"{folder}/z.png\0{folder}/gone\nfor ever.png\0{folder}/a.jpeg\0"
    done = subprocess.run(
        command(model_path, "-"), input=listed, capture_output=True, text=True, check=True
    )
    assert [(row[0], row[1], row[-1]) for row in rows(done.stdout)] == [
        (f"{folder}/z.png", "red", ""),
        (f"{folder}/gone\nfor ever.png", "", "unreadable"),
        (f"{folder}/a.jpeg", "green", ""),
    ]
    empty = subprocess.run(command(model_path, "-"), input=b"", capture_output=True, check=False)
    assert empty.returncode == 1
    assert b"no image in -" in empty.stderr


def test_no_room_is_one_line_and_the_next_run_goes_on(
    model_path: Path, folder: Path, tmp_path: Path
) -> None:
    for i in range(150):
        (folder / f"z{i}.png").write_bytes((folder / "z.png").read_bytes())
    out, expected = tmp_path / "out.csv", tmp_path / "expected.csv"
    assert run(model_path, folder, "--out", expected).returncode == 0
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); "
        "runpy.run_module('pipeline.inference', run_name='__main__', alter_sys=True)"
    )
    words = [sys.executable, "-c", code, str(model_path), str(folder), "--out", str(out)]
    full = subprocess.run(words, capture_output=True, text=True, check=False)
    assert full.returncode == 1
    assert "cannot be written: File too large; mend that and run the same" in full.stderr
    assert "Traceback" not in full.stderr
    assert not out.exists()
    again = run(model_path, folder, "--out", out)
    assert again.returncode == 0
    assert "images were done before; going on" in again.stderr
    assert out.read_bytes() == expected.read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_a_full_standard_output_is_one_line(model_path: Path, folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command(model_path, folder), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert b"standard output: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_go_on_and_goes_on(
    model_path: Path, tmp_path: Path, draw: Draw, number: signal.Signals, status: int
) -> None:
    archive, out, expected = (tmp_path / name for name in ("many.zip", "out.csv", "expected.csv"))
    out.write_text("old")
    image = draw((96, 0, 0), (500, 500))
    with zipfile.ZipFile(archive, "w") as file:
        for i in range(600):
            file.writestr(f"{i}.png", image)
    process = subprocess.Popen(
        command(model_path, archive, "--out", out), stderr=subprocess.PIPE, text=True
    )
    partial = tmp_path / "out.csv.partial"
    while not partial.exists() or partial.read_bytes().count(b"\n") < 3:
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == status
    told = [line for line in errors.splitlines() if not line.startswith("INFO")]
    assert told == [
        f"pipeline.inference: stopped; {partial} holds what is done; "
        "run the same command again to go on"
    ]
    assert out.read_text() == "old"
    again = run(model_path, archive, "--out", out)
    assert "were done before; going on" in again.stderr
    assert run(model_path, archive, "--out", expected, "--fresh").returncode == 0
    assert out.read_bytes() == expected.read_bytes()
    assert sorted(p.name for p in tmp_path.glob("*csv*")) == ["expected.csv", "out.csv"]
