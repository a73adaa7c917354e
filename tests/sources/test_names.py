"""Names that harm nobody."""

import itertools
import time
import unicodedata

import pytest

from pipeline.core.archive import marked_path
from pipeline.sources.names import class_names, member_names, safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cat", "cat"),
        ("..", "_"),
        ("...hidden", "_hidden"),
        (".hidden", "hidden"),
        ("a\nb\x00c", "a_b_c"),
        ("a\\b/c", "a_b_c"),
        ("e\u0301", "\u00e9"),
        ("\u202egpj", "_gpj"),
        ("\udcff", "_"),
        ("", "_"),
        ("a..b", "a_b"),
    ],
)
def test_a_safe_name_holds_nothing_that_harms(text, name):
    assert safe_name(text) == name


def test_a_long_name_is_cut_between_characters():
    assert safe_name("é" * 100) == "é" * 60  # two bytes each, 120 in all
    assert safe_name("x" + "é" * 100) == "x" + "é" * 59


FILES = [
    ("cat", "1.jpg", "a/1.jpg"),
    ("cat", "1.jpg", "b/1.jpg"),
    ("cat", "1.JPG", "a/1.JPG"),
    ("Cat", "1.jpg", "c/1.jpg"),
    ("dog", "1.jpg", "a/1.jpg"),
]


def test_all_files_of_one_name_are_marked_with_where_they_come_from():
    assert member_names(FILES) == [
        marked_path("cat/1", ".jpg", "a/1.jpg"),
        marked_path("cat/1", ".jpg", "b/1.jpg"),
        marked_path("cat/1", ".JPG", "a/1.JPG"),
        marked_path("Cat/1", ".jpg", "c/1.jpg"),
        "dog/1.jpg",
    ]


def test_a_file_more_gives_no_other_file_the_name_of_a_third():
    for chosen in itertools.chain.from_iterable(
        itertools.combinations(FILES, n) for n in range(1, 6)
    ):
        fewer = dict(zip(chosen, member_names(chosen), strict=True))
        all_of_them = dict(zip(FILES, member_names(FILES), strict=True))
        taken_over = [
            (file, other)
            for file, name in fewer.items()
            for other, its_name in all_of_them.items()
            if name == its_name and file != other
        ]
        assert taken_over == []


def test_a_mark_never_takes_the_name_of_another_file():
    taken = marked_path("cat/1", ".jpg", "a").removeprefix("cat/")
    names = member_names([("cat", "1.jpg", "a"), ("cat", "1.jpg", "b"), ("cat", taken, "c")])
    assert names[2] == f"cat/{taken}"
    assert len(set(names)) == 3


def test_files_that_nothing_tells_apart_have_names_of_their_own():
    start = time.monotonic()
    assert len(set(member_names([("cat", "1.jpg", "a")] * 20_000))) == 20_000
    assert time.monotonic() - start < 5


def test_classes_that_would_share_a_name_get_numbers():
    assert class_names(["a\nb", "a\rb", "c"]) == {"a\nb": "a_b", "a\rb": "a_b-2", "c": "c"}


def test_the_suffix_survives_a_long_stem_and_a_long_suffix_is_none():
    assert member_names([("c", "x" * 300 + ".jpg", "")]) == ["c/" + "x" * 120 + ".jpg"]
    assert member_names([("c", "a." + "y" * 300, "")]) == ["c/a." + "y" * 118]


def test_members_are_normalised():
    (name,) = member_names([("c", "cafe\u0301.jpg", "")])
    assert unicodedata.is_normalized("NFC", name)
