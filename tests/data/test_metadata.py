"""What people write into metadata.csv is understood, or refused with its line."""

from pathlib import Path

import pytest

from pipeline.core.archive import Member
from pipeline.core.errors import DataError
from pipeline.data.metadata import Metadata, read_metadata, warn_ignored

MEMBERS = tuple(Member(f"cat/{k}.jpg", f"mine/{k}.jpg", 1) for k in range(5))


@pytest.fixture
def read(tmp_path):
    def reading(content: str) -> Metadata:
        (tmp_path / "metadata.csv").write_text(content)
        return read_metadata(tmp_path / "metadata.csv", MEMBERS)

    return reading


def test_a_file_with_only_its_header_says_nothing(read):
    assert read("path,split,group\n") == Metadata({}, {})


def test_empty_cells_are_no_entries(read):
    found = read("path,split,group\ncat/0.jpg,,\ncat/1.jpg,test,\nmine/2.jpg, ,Rex \n")
    assert found == Metadata({"cat/1.jpg": "test"}, {"cat/2.jpg": "Rex"})


def test_splits_are_known_by_their_usual_words(read):
    words = ("train", "Valid", "VALIDATION", "val", " Test ")
    rows = "".join(f"cat/{k}.jpg,{word},\n" for k, word in enumerate(words))
    assert list(read(f"path,split,group\n{rows}").split.values()) == [
        *("train", "valid", "valid", "valid", "test")
    ]


def test_further_columns_are_kept_for_others_to_look_at(read):
    found = read("camera,group,path,split\nphone,Rex,cat/1.jpg,train\n,,cat/2.jpg,\n")
    assert found == Metadata(
        {"cat/1.jpg": "train"}, {"cat/1.jpg": "Rex"}, {"camera": {"cat/1.jpg": "phone"}}
    )


def test_an_unknown_split_is_named_by_its_line(read):
    with pytest.raises(
        DataError, match=r"metadata.csv, line 3: split 'dev', expected train, valid"
    ):
        read("path,split,group\ncat/1.jpg,train,\ncat/2.jpg,dev,\n")


def test_a_split_that_will_not_be_kept_is_told():
    (warning,) = warn_ignored(Metadata({"cat/1.jpg": "test"}, {}))
    assert "(rows filled in: 1) is ignored; set split.keep_given: true" in warning
    assert warn_ignored(Metadata({}, {"cat/1.jpg": "Rex"})) == []


def test_the_committed_table_has_its_header_and_nothing_else():
    assert (Path(__file__).parents[2] / "data/metadata.csv").read_text() == "path,split,group\n"
