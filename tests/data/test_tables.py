"""Tables that people write are read as spreadsheets save them, and their images found."""

import os
import re

import pytest

from pipeline.core.archive import Member
from pipeline.core.errors import ArtifactError, DataError
from pipeline.data.tables import read_rows

MEMBERS = (
    Member("cat/1.jpg", "set/cats/one.jpg", 1),
    Member("cat/2.jpg", "set/cats/two.jpg", 1),
    Member("dog/1.jpg", "same.jpg", 1),
    Member("dog/2.jpg", "same.jpg", 1),
    Member("dog/3.jpg", "dog/4.jpg", 1),
    Member("dog/4.jpg", "dog/04.jpg", 1),
    Member('dog/a "b", c\n.jpg', 'dog/a "b", c\n.jpg', 1),
)


@pytest.fixture
def read(tmp_path):
    """Return what is read from a file of this content."""

    def reading(content: str | bytes, *, more_columns: bool = True):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_rows(path, MEMBERS, columns=("path", "note"), more_columns=more_columns)

    return reading


def test_an_image_is_found_by_its_path_and_by_its_source(read):
    rows = read("path,note\ncat/1.jpg,a\nset/cats/two.jpg, b \n")
    assert [(row.path, row.cells) for row in rows] == [
        ("cat/1.jpg", {"note": "a"}),
        ("cat/2.jpg", {"note": "b"}),
    ]


def test_a_name_that_files_lost_to_each_other_means_none_of_them(tmp_path):
    one, other = (f"cat/1-{letter * 10}.jpg" for letter in "ab")
    members = [Member(one, "cat/1.jpg", 1), Member(other, "cat/day/1.jpg", 1)]
    members += [Member(f"dog/{name}.jpg", f"{name}.jpg", 1) for name in ("2", "2-1234567890")]
    table = tmp_path / "table.csv"

    def named(name: str) -> str:
        table.write_text(f"path\n{name}\n")
        (row,) = read_rows(table, members, columns=["path"], more_columns=False)
        return row.path

    assert named(one) == one
    assert named("cat/day/1.jpg") == other
    assert named("dog/2.jpg") == "dog/2.jpg"  # the other's number is part of its own name
    with pytest.raises(DataError, match=re.escape(f"'cat/1.jpg' may mean {one}, {other}; write")):
        named("cat/1.jpg")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_spreadsheets_mark_line_ends_and_blank_rows_are_accepted(read, end):
    lines = ["path,note", "cat/1.jpg,a", ",", "", " , ", "cat/2.jpg,b"]
    (_, last) = read(b"\xef\xbb\xbf" + end.join(lines).encode())
    assert (last.path, last.where[-6:]) == ("cat/2.jpg", "line 6")


def test_a_row_is_known_by_its_first_line(read):
    (row, after) = read('path,note\n"dog/a ""b"", c\n.jpg","x\ny"\ncat/1.jpg,\n')
    assert row.path == 'dog/a "b", c\n.jpg'
    assert row.where.endswith("line 2")
    assert after.where.endswith("line 5")


def test_further_columns_in_any_order_are_read_if_allowed(read):
    (row,) = read("camera,note, path\nphone,a,cat/1.jpg\n")
    assert row.cells == {"camera": "phone", "note": "a"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("cat/9.jpg,", "line 2: no image 'cat/9.jpg'; expected a path or source of split.csv"),
        ("same.jpg,", "line 2: 'same.jpg' may mean dog/1.jpg, dog/2.jpg; write another name"),
        ("dog/4.jpg,", "line 2: 'dog/4.jpg' may mean dog/3.jpg, dog/4.jpg; write another name"),
        ("cat/1.jpg,a\ncat/1.jpg,a", "line 3: cat/1.jpg stands in line 2 already; one row an"),
        (
            "cat/1.jpg,a\n,\nset/cats/one.jpg,b",
            "line 4: set/cats/one.jpg is cat/1.jpg, which stands in line 2 already",
        ),
    ],
)
def test_a_row_whose_image_is_in_doubt_is_named_by_its_line(read, rows, message):
    with pytest.raises(DataError, match=re.escape(f"table.csv, {message}")):
        read(f"path,note\n{rows}\n")


def test_an_image_whose_path_another_has_as_source_is_still_named_by_its_source(read):
    (row,) = read("path,note\ndog/04.jpg,a\n")
    assert row.path == "dog/4.jpg"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: found nothing, expected path,note and any others"),
        ("path;note\n", "line 1: found path;note, expected path,note and any others"),
        ("path\n", "line 1: found path, expected path,note and any others"),
        ("path,note,note\n", "line 1: column 'note' stands there twice; remove one"),
        ("path,note\ncat/1.jpg\n", "line 2: 1 columns, expected 2"),
        ("path,note\n".encode("utf-16"), "line 1: cannot be read as CSV in UTF-8"),
        ("path,note\ncat/1.jpg,a\ncat/2.jpg,\xff".encode("latin-1"), "cannot be read as CSV in"),
        ('path,note\ncat/1.jpg,a\n"cat/2.jpg,b\n', "line 3: cannot be read as CSV in UTF-8"),
    ],
)
def test_a_file_of_another_form_is_refused(read, content, message):
    with pytest.raises(ArtifactError, match=re.escape(message)) as caught:
        read(content)
    assert "\n" not in str(caught.value)


def test_columns_are_fixed_where_no_others_are_allowed(read):
    with pytest.raises(ArtifactError, match=r"line 1: found path,note,x, expected path,note$"):
        read("path,note,x\n", more_columns=False)


def test_a_missing_file_is_refused_with_its_cure(tmp_path):
    with pytest.raises(ArtifactError, match=r"not found; make it with one line: path,note"):
        read_rows(tmp_path / "x.csv", MEMBERS, columns=("path", "note"), more_columns=True)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_not_a_file_is_refused_without_waiting_for_it(tmp_path, make):
    make(tmp_path / "x.csv")
    with pytest.raises(ArtifactError, match=r"x.csv: not a file; make it one"):
        read_rows(tmp_path / "x.csv", MEMBERS, columns=("path", "note"), more_columns=True)
