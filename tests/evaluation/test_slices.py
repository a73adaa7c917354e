"""Which images a slice holds, on cases worked by hand."""

import numpy as np
import pytest

from pipeline.core.artifacts import Sample
from pipeline.core.errors import ArtifactError
from pipeline.data.corrections import Corrections
from pipeline.evaluation.interval import wilson_interval
from pipeline.evaluation.slices import Trait, image_traits, people_traits, slice_rows
from pipeline.packing.packed import PackedSplit

RIGHT = np.array([True, True, False, True, False, True, True, True])


def rows_of(values, right=RIGHT):
    return [(r.value, r.n, r.accuracy) for r in slice_rows(right, [Trait(name="t", values=values)])]


def make_split(pixels, labels):
    paths = tuple(f"cat/{k}.jpg" for k in range(len(labels)))
    return PackedSplit(pixels, np.array(labels), paths)


def sample(path, width, height):
    return Sample(
        path=path, label="cat", split="test", sha256="", width=width, height=height, group="",
        source="",
    )  # fmt: skip


def test_numbers_are_parted_into_quartiles_named_by_their_ends():
    values = np.array([1.0, 8, 2, 7, 3, 6, 4, 5])
    assert rows_of(values) == [
        ("1 to 2", 2, 0.5),
        ("3 to 4", 2, 0.5),
        ("5 to 6", 2, 1.0),
        ("7 to 8", 2, 1.0),
    ]


def test_equal_numbers_stay_together_and_one_part_alone_is_no_slice():
    assert rows_of(np.array([200.0] * 7 + [300])) == [("200", 7, 5 / 7), ("300", 1, 1.0)]
    assert rows_of(np.full(8, 200.0)) == []
    values = np.array([100.0, 200, 200, 200, 200, 200, 200, 300])
    assert [(value, n) for value, n, _ in rows_of(values)] == [("100 to 200", 7), ("300", 1)]


def test_words_are_parts_and_what_has_none_is_a_part():
    assert rows_of(("b", "a", "a", "", "b", "b", "a", "")) == [
        ("a", 3, 2 / 3),
        ("b", 3, 2 / 3),
        ("(empty)", 2, 1.0),
    ]
    assert rows_of(("a",) * 8) == []


def test_rare_words_are_counted_together():
    words = (*(f"w{k:02d}" for k in range(25)), "w00", "w24")
    found = rows_of(words, np.ones(27, bool))
    assert len(found) == 21
    assert found[-1] == ("(others)", 5, 1.0)
    assert ("w24", 2, 1.0) in found
    assert sum(n for _, n, _ in found) == 27


def test_the_interval_is_wilsons():
    (row, *_) = slice_rows(RIGHT, [Trait(name="t", values=np.arange(8.0))])
    assert (row.accuracy_low, row.accuracy_high) == wilson_interval(2, 2)


def test_what_is_measured_on_the_images():
    pixels = np.zeros((3, 16, 16, 3), np.uint8)
    pixels[1] = 255
    pixels[2, :, ::2] = 200  # stripes
    split = make_split(pixels, [0, 0, 0])
    samples = [
        sample(p, *s) for p, s in zip(split.paths, [(40, 20), (20, 40), (30, 30)], strict=True)
    ]
    found = {t.name: t.values.tolist() for t in image_traits(split, {s.path: s for s in samples})}
    assert found["size_px"] == [20, 20, 30]
    assert found["aspect"] == [2, 0.5, 1]
    assert found["brightness"] == pytest.approx([0, 255, 100], abs=1)
    assert found["sharpness"][0] == found["sharpness"][1] == 0
    assert found["sharpness"][2] > 100


def test_an_image_that_the_split_does_not_know_is_named():
    split = make_split(np.zeros((1, 16, 16, 3), np.uint8), [0])
    with pytest.raises(ArtifactError, match=r"no row for cat/0.jpg.*dvc repro pack"):
        image_traits(split, {})


def test_what_people_said():
    split = make_split(np.zeros((10, 1, 1, 3), np.uint8), [0, 1] * 5)
    corrections = Corrections({"cat/1.jpg": "dog"}, frozenset(), frozenset({"cat/2.jpg"}))
    columns = {
        "camera": {"cat/0.jpg": "phone"},
        "noise": {f"cat/{k}.jpg": f"{k}.5" for k in range(9)},
        "stars": {f"cat/{k}.jpg": str(k % 3) for k in range(10)},
        "size_px": {f"cat/{k}.jpg": f"id-{k}" for k in range(9)},
    }
    traits = people_traits(split, classes=("cat", "dog"), corrections=corrections, columns=columns)
    found = {trait.name: trait.values for trait in traits}
    assert found["class"] == ("cat", "dog") * 5
    assert found["correction"][:4] == ("none", "relabel", "keep", "none")
    assert found["metadata.camera"][:2] == ("phone", "")
    assert found["metadata.stars"] == tuple("0120120120")  # few numbers are words
    assert found["metadata.noise"][:3].tolist() == [0.5, 1.5, 2.5]
    assert np.isnan(found["metadata.noise"][9])
    assert found["metadata.size_px"][0] == "id-0"


def test_a_number_that_is_missing_is_a_part_of_its_own():
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, np.nan])
    assert rows_of(values)[-1] == ("(empty)", 1, 1.0)


def test_close_numbers_have_as_many_digits_as_tell_the_parts_apart():
    seconds = 1_700_000_000 + np.arange(100.0)
    assert [value for value, *_ in rows_of(seconds, np.ones(100, bool))] == [
        f"{low} to {low + 24}" for low in range(1_700_000_000, 1_700_000_100, 25)
    ]
    # The ends of one part alone are told apart too.
    values = np.array([1.0, 2, 3, 4, 5, 6, 1234567, 1234568])
    assert rows_of(values)[-1][0] == "1234567 to 1234568"
