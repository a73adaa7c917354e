"""What is classified, in which order, and what is refused at once."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import DataError, ImageError
from pipeline.imaging.decode import MAX_BYTES
from pipeline.inference import inputs as module
from pipeline.inference.archives import tar_members, zip_members
from pipeline.inference.inputs import Inputs


def names(*paths: object, stdin: bytes = b"") -> list[str]:
    return [item.path for item in Inputs([str(p) for p in paths], stdin=io.BytesIO(stdin))]


def make(folder: Path, *files: str) -> None:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_a_folder_larger_than_one_listing_is_complete_and_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, *(f"{i}.png" for i in range(40)), "1/x.png", "z/y/x.png")
    whole = names(tmp_path)
    assert whole == sorted(whole, key=lambda path: path.split("/"))
    assert len(whole) == 42
    for at_once in (1, 3, 41, 42, 43):
        monkeypatch.setattr(module, "NAMES_AT_ONCE", at_once)
        assert names(tmp_path) == whole


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "readme.txt", ".hidden.png", "out.csv.partial", "Thumbs.db")
    found = Inputs([str(tmp_path)])
    assert found.count() == 1
    assert len(list(found)) == 1
    assert found.n_passed_over == 4


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg", "b.jpg"]),
        ("**/*.jpg", ["a.jpg", "b.jpg", "d/c.jpg", "d/e/f.jpg"]),
        ("**/**/*.jpg", ["a.jpg", "b.jpg", "d/c.jpg", "d/e/f.jpg"]),
        ("d/**", ["d/c.jpg", "d/e/f.jpg", "d/e/g.png"]),
        ("d/**/", ["d/c.jpg", "d/e/f.jpg", "d/e/g.png"]),
        ("d/**/**", ["d/c.jpg", "d/e/f.jpg", "d/e/g.png"]),
        ("d/**/*", ["d/c.jpg", "d/e/f.jpg", "d/e/g.png"]),
        ("?/c.jpg", ["d/c.jpg"]),
        ("d/*/g.png", ["d/e/g.png"]),
        ("*/e", ["d/e/f.jpg", "d/e/g.png"]),
        ("**/[de]", ["d/c.jpg", "d/e/f.jpg", "d/e/g.png"]),
        ("**/[de]/**", ["d/c.jpg", "d/e/f.jpg", "d/e/g.png"]),
        ("**/e/f.jpg", ["d/e/f.jpg"]),
        ("[b-z].jpg", ["b.jpg"]),
        ("*/.i.jpg", ["d/.i.jpg"]),
    ],
)
def test_a_pattern_gives_what_it_matches_once_and_in_order(
    tmp_path: Path, pattern: str, expected: list[str]
) -> None:
    make(tmp_path, "a.jpg", "b.jpg", "d/c.jpg", "d/e/f.jpg", "d/e/g.png", ".h/x.jpg", "d/.i.jpg")
    found = Inputs([str(tmp_path / pattern)])
    assert [item.path.removeprefix(f"{tmp_path}/") for item in found] == expected
    assert found.count() == len(expected)


def test_a_pattern_leaves_links_to_folders_to_those_who_name_them(tmp_path: Path) -> None:
    make(tmp_path, "d/a.jpg")
    (tmp_path / "d/loop").symlink_to(tmp_path)
    assert names(tmp_path / "**/*.jpg") == [f"{tmp_path}/d/a.jpg"]
    assert names(tmp_path / "d/l*/d/*.jpg") == [f"{tmp_path}/d/loop/d/a.jpg"]


def test_a_pattern_in_the_current_folder_gives_plain_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.jpg", "d/b.jpg")
    monkeypatch.chdir(tmp_path)
    assert names("**/*.jpg") == ["a.jpg", "d/b.jpg"]


def test_a_pattern_that_matches_a_tar_is_not_counted_beforehand(tmp_path: Path) -> None:
    make(tmp_path, "1/a.jpg")
    (tmp_path / "1/x.tar").write_bytes(tar_bytes("w"))
    found = Inputs([str(tmp_path / "*/x*")])
    assert found.count() is None
    assert len(list(found)) == 3


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    make(tmp_path, "a[1].jpg", "a1.jpg")
    assert names(tmp_path / "a[1].jpg") == [f"{tmp_path}/a[1].jpg"]


def test_a_file_that_goes_after_it_was_named_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    found = Inputs([str(tmp_path / "a.jpg")])
    (tmp_path / "a.jpg").unlink()
    assert found.count() == 1
    (item,) = found
    with pytest.raises(DataError, match="cannot be read"):
        item.read()


def test_a_pattern_without_match_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing matches"):
        Inputs([str(tmp_path / "*.jpg")])


def test_a_list_is_separated_by_line_ends_or_nul(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.png", "new\nline.png", "d/e.png")
    listed = [f"{tmp_path}/{name}" for name in ("b.png", "d", "a.png", "gone.png")]
    expected = [listed[0], f"{tmp_path}/d/e.png", *listed[2:]]
    assert names("-", stdin="\n".join(listed).encode()) == expected
    assert names("-", stdin="\n".join([*listed, "", ""]).encode()) == expected
    odd = f"{tmp_path}/new\nline.png"
    assert names("-", stdin="\0".join([odd, *listed]).encode()) == [odd, *expected]
    many = [f"{tmp_path}/{i}.png" for i in range(5000)]
    assert names("-", stdin="\0".join(many).encode()) == many
    assert names("-", stdin=b"") == []
    with pytest.raises(DataError, match="once only"):
        names("-", "-")


def test_names_that_are_not_utf8_keep_their_bytes(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    assert [os.fsencode(p) for p in names(tmp_path)] == [raw]
    assert [os.fsencode(p) for p in names("-", stdin=raw)] == [raw]


def zip_bytes(*, comment: bytes = b"", before: bytes = b"", force_zip64: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i, name in enumerate(["z.png", "a/b.png", "caf\u00e9.png", "d/"]):
            info = zipfile.ZipInfo(name)
            info.compress_type = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[i % 2]
            with archive.open(info, "w", force_zip64=force_zip64) as member:
                member.write(name.encode() * 100)
        archive.comment = comment
    return before + file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        zip_bytes(),
        zip_bytes(comment=b"a comment" * 9, force_zip64=True),
        zip_bytes(before=b"#!/bin/sh\n" * 100),
    ],
    ids=["plain", "zip64 and comment", "something before it"],
)
def test_a_zip_is_read_as_zipfile_reads_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        expected = [
            (f"{path}/{name}", archive.read(name))
            for name in archive.namelist()
            if not name.endswith("/")
        ]
    assert [(item.path, item.read()) for item in Inputs([str(path)])] == expected


def test_a_zip_of_more_members_than_16_bits_count_is_read(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:  # zipfile adds the records of zip64
        for i in range(65_600):
            archive.writestr(f"{i}", b"")
    assert sum(1 for _ in zip_members(str(path))) == 65_600


def test_every_cut_of_a_zip_is_refused_in_one_line(tmp_path: Path) -> None:
    path, content = tmp_path / "x.zip", zip_bytes()
    for end in range(0, len(content), 3):
        path.write_bytes(content[:end])
        with pytest.raises(DataError, match=r"x\.zip: not a readable zip archive"):
            list(Inputs([str(path)]))


def test_damage_anywhere_in_a_zip_never_gives_a_traceback_or_other_bytes(tmp_path: Path) -> None:
    path, content = tmp_path / "x.zip", zip_bytes()
    path.write_bytes(content)
    sound = {item.read() for item in Inputs([str(path)])}
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0x55
        path.with_name(f"{at}.zip").write_bytes(damaged)
        try:
            found = list(Inputs([str(path.with_name(f"{at}.zip"))]))
        except DataError:
            continue
        for item in found:
            try:
                assert item.read() in sound
            except DataError:  # an ImageError is one too
                continue


def test_a_member_that_claims_too_much_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(MAX_BYTES + 1))
    (item,) = Inputs([str(path)])
    with pytest.raises(ImageError, match="too_large"):
        item.read()


def tar_bytes(mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name in ("z.png", "a/b.png", "long/" * 30 + "x.png", ".hidden/x.png"):
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_read_in_its_order_and_its_links_are_not_followed(
    tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "x.archive"  # told by its content
    path.write_bytes(tar_bytes(mode))
    found = Inputs([str(path)])
    assert found.count() is None
    assert [(item.path, item.read().decode()) for item in found] == [
        (f"{path}/{name}", name) for name in ("z.png", "a/b.png", "long/" * 30 + "x.png")
    ]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_that_is_cut_off_never_passes_for_a_shorter_one(tmp_path: Path, mode: str) -> None:
    path, content = tmp_path / "x.tar", tar_bytes(mode)
    path.write_bytes(content)
    n_whole = sum(1 for _ in tar_members(str(path)))
    for end in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:end])
        n_found = 0
        try:
            for _ in tar_members(str(path)):
                n_found += 1
        except DataError as error:
            assert str(error).startswith(f"{path}: not a readable tar archive")  # noqa: PT017
        else:
            assert n_found == n_whole


def test_a_negative_size_does_not_hang(tmp_path: Path) -> None:
    path, content = tmp_path / "x.tar", bytearray(tar_bytes("w"))
    content[124:136] = b"\xff" * 8 + (-512).to_bytes(4, "big", signed=True)  # base 256, negative
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    code = "import sys; from pipeline.inference.inputs import Inputs; list(Inputs(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, timeout=30, check=False
    )
    assert b"negative size" in done.stderr


def test_the_order_is_that_of_the_command_line(tmp_path: Path) -> None:
    make(tmp_path, "z/1.png", "a/2.png", "m.png")

    def paths() -> Iterator[str]:
        yield from (f"{tmp_path}/z", f"{tmp_path}/m.png", f"{tmp_path}/a", f"{tmp_path}/m.png")

    found = [path.rpartition("/")[2] for path in names(*paths())]
    assert found == ["1.png", "m.png", "2.png", "m.png"]
