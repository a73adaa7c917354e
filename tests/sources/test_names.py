"""Names that harm nobody."""

import unicodedata

import pytest

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


def test_equal_names_get_numbers_in_order():
    files = [
        ("cat", "1.jpg"),
        ("cat", "1.jpg"),
        ("cat", "1.JPG"),
        ("Cat", "1.jpg"),
        ("dog", "1.jpg"),
    ]
    assert member_names(files) == [
        "cat/1.jpg",
        "cat/1-2.jpg",
        "cat/1-3.JPG",
        "Cat/1-4.jpg",
        "dog/1.jpg",
    ]


def test_a_number_never_takes_the_name_of_another_file():
    files = [("cat", "1-2.jpg"), ("cat", "1.jpg"), ("cat", "1.jpg")]
    assert member_names(files) == ["cat/1-2.jpg", "cat/1.jpg", "cat/1-3.jpg"]


def test_classes_that_would_share_a_name_get_numbers():
    assert class_names(["a\nb", "a\rb", "c"]) == {"a\nb": "a_b", "a\rb": "a_b-2", "c": "c"}


def test_the_suffix_survives_a_long_stem_and_a_long_suffix_is_none():
    assert member_names([("c", "x" * 300 + ".jpg")]) == ["c/" + "x" * 120 + ".jpg"]
    assert member_names([("c", "a." + "y" * 300)]) == ["c/a." + "y" * 118]


def test_members_are_normalised():
    (name,) = member_names([("c", "cafe\u0301.jpg")])
    assert unicodedata.is_normalized("NFC", name)
