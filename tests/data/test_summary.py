"""What a data set is made of, and what is wrong with it."""

import hashlib
import json
from dataclasses import replace

import pytest
from scanned import scanned

from pipeline.core.artifacts import Rejected, Sample
from pipeline.core.errors import DataError
from pipeline.data.groups import Pair
from pipeline.data.summary import (
    in_words,
    leaked_pairs,
    require_no_leak,
    require_usable,
    summarize_data,
    warnings_about,
)


def samples(**counts: int) -> list[Sample]:
    """Return so many images a class: the first for testing, the second for validation."""
    return [
        Sample(
            path=f"{label}/{k}.jpg",
            label=label,
            split={0: "test", 1: "valid"}.get(k, "train"),
            sha256=hashlib.sha256(f"{label}{k}".encode()).hexdigest(),
            width=100 + k,
            height=50,
            group=f"{label}{k}",
            source=f"{k}.jpg",
        )
        for label, n in counts.items()
        for k in range(n)
    ]


def rejected(*reasons: str) -> list[Rejected]:
    return [
        Rejected(path=f"cat/x{k}", source="x", reason=r, detail="") for k, r in enumerate(reasons)
    ]


def quartiles(*values: float) -> dict[str, float]:
    return dict(zip(("min", "q1", "median", "q3", "max"), values, strict=True))


def summary_of(rows: list[Sample], refused: list[Rejected] | None = None, **options):
    images = [
        scanned(row.path, width=row.width, height=row.height, brightness=k, sharpness=k / 3)
        for k, row in enumerate(rows)
    ]
    options = {"pairs": [], "wanted": {}, "divided": []} | options
    return summarize_data(rows, refused or [], images=images, **options)


def test_the_summary_says_what_the_data_set_is_made_of():
    found = summary_of(
        samples(cat=5, dog=3),
        rejected("empty", "duplicate", "duplicate", "conflict"),
        wanted={"valid": 0.1, "test": 0.2},
        pairs=[
            Pair("cat/2.jpg", "cat/3.jpg", "near"),
            Pair("cat/3.jpg", "cat/4.jpg", "near"),
            Pair("cat/0.jpg", "dog/0.jpg", "near"),
            Pair("cat/1.jpg", "cat/x0.jpg", "near"),  # its second was set aside
            Pair("dog/2.jpg", "cat/2.jpg", "pixels"),
        ],
        divided=["a", "b"],
    )
    assert found == {
        "n_images": 8,
        "n_rejected": 4,
        "n_groups": 8,
        "classes": {
            "cat": {
                **{"train": 3, "valid": 1, "test": 1},
                **{"valid_fraction": 0.2, "test_fraction": 0.2},
            },
            "dog": {
                **{"train": 1, "valid": 1, "test": 1},
                **{"valid_fraction": 0.3333, "test_fraction": 0.3333},
            },
        },
        "splits": {
            "train": {"n_images": 4, "fraction": 0.5, "wanted": 0.7},
            "valid": {"n_images": 2, "fraction": 0.25, "wanted": 0.1},
            "test": {"n_images": 2, "fraction": 0.25, "wanted": 0.2},
        },
        "rejected": {"conflict": 1, "duplicate": 2, "empty": 1},
        "exact_duplicates": 2,
        "conflicts": 1,
        "near_duplicates": {"groups": 2, "images": 5, "pairs_under_two_labels": 1},
        "leaked_pairs": 0,
        "divided_groups": 2,
        "few_images": {"cat": 5, "dog": 3},
        "imbalance_ratio": 1.67,
        # 100 100 101 101 102 102 103 104: the median is halfway between the middle two, the
        # quartiles lie at three quarters and one quarter between their neighbours; all rounded.
        "width_px": quartiles(100, 101, 102, 102, 104),
        "height_px": quartiles(50, 50, 50, 50, 50),
        "brightness": quartiles(0.0, 1.8, 3.5, 5.2, 7.0),
        "sharpness": quartiles(0.0, 0.6, 1.2, 1.8, 2.3),
    }


def test_the_summary_can_be_written_and_stays_small():
    rows = samples(**{f"class{k:03d}": 30 for k in range(100)})
    text = json.dumps(summary_of(rows), sort_keys=True, allow_nan=False)
    assert len(text) < 20_000


def test_equal_images_in_two_splits_are_counted_pair_by_pair():
    rows = samples(cat=6, dog=3)  # 0 is for testing, 1 for validation, the others for training
    same = [replace(row, sha256="e" * 64) if row.label == "cat" else row for row in rows]
    # Of six equal images one is for testing, one for validation, four for training:
    # 1 * 1 + 1 * 4 + 1 * 4 = 9 pairs are divided.
    assert leaked_pairs(same, []) == 9
    assert leaked_pairs(rows, []) == 0


def test_pairs_in_two_splits_are_counted_once():
    rows = samples(cat=4, dog=4)
    pairs = [
        Pair("cat/0.jpg", "cat/1.jpg", "near"),  # test and valid
        Pair("cat/1.jpg", "cat/0.jpg", "pixels"),  # the same pair again
        Pair("cat/2.jpg", "dog/3.jpg", "near"),  # both train
        Pair("cat/2.jpg", "dog/1.jpg", "pixels"),  # train and valid
        Pair("cat/0.jpg", "cat/gone.jpg", "near"),
    ]
    assert leaked_pairs(rows, pairs) == 2
    with pytest.raises(RuntimeError, match="2 pairs of equal images are divided"):
        require_no_leak(summary_of(rows, pairs=pairs))


def test_a_pair_of_equal_bytes_is_not_counted_twice():
    rows = [replace(row, sha256="e" * 64) for row in samples(cat=2)]
    assert leaked_pairs(rows, [Pair("cat/0.jpg", "cat/1.jpg", "near")]) == 1


def test_the_lines_in_the_log_say_wanted_and_actual_fractions():
    found = summary_of(
        samples(cat=5, dog=3),
        rejected("empty", "duplicate", "duplicate"),
        wanted={"valid": 0.05, "test": 0.2},
    )
    assert in_words(found) == [
        "per class: cat valid 1 (20.0%), test 1 (20.0%); dog valid 1 (33.3%), test 1 (33.3%)",
        "8 images: train 4 (50.0%, wanted 75.0%), valid 2 (25.0%, wanted 5.0%), "
        "test 2 (25.0%, wanted 20.0%); "
        "3 rejected: duplicate 2, empty 1",
    ]
    assert in_words(summary_of(samples(cat=5)))[-1].endswith("0 rejected")


def test_of_many_classes_the_log_shows_the_first():
    line, _ = in_words(summary_of(samples(**{f"class{k:03d}": 3 for k in range(100)})))
    assert line.endswith(
        "class004 valid 1 (33.3%), test 1 (33.3%); and 95 more in reports/data/summary.json"
    )


def test_a_healthy_set_has_no_warnings():
    pairs = [Pair("cat/1.jpg", "cat/2.jpg", "near")]
    assert warnings_about(samples(cat=100, dog=10), pairs) == []


def test_a_small_class_and_an_imbalance_are_told():
    few, imbalance = warnings_about(samples(cat=101, dog=10, fox=1), [])
    assert few.startswith("class 'fox' has 1 usable image;")
    assert imbalance.startswith("class 'cat' has 101 images, 'fox' only 1")


def test_near_duplicates_under_different_labels_are_told():
    pairs = [Pair(f"cat/{k}.jpg", f"dog/{k}.jpg", "near") for k in range(9)]
    (warning,) = warnings_about(samples(cat=10, dog=10), pairs)
    assert "different labels: 9 (cat/0.jpg and dog/0.jpg; " in warning
    assert "cat/4.jpg and dog/4.jpg and 4 more)" in warning


@pytest.mark.parametrize(
    ("paths", "expected", "message"),
    [
        ([], ["cat", "dog"], "no image is usable; data/rejected.csv says why"),
        (["cat/1"], ["cat", "dog"], "class 'dog' has no usable image; data/rejected.csv says why"),
        (["cat/1", "cat/2"], ["cat"], "only one class, 'cat'; a classifier needs two or more"),
    ],
)
def test_nothing_to_tell_apart_is_an_error_with_a_cure(paths, expected, message):
    with pytest.raises(DataError, match=message):
        require_usable([scanned(path) for path in paths], expected=expected)


def test_two_classes_with_an_image_each_are_enough():
    require_usable([scanned("cat/1"), scanned("dog/1")], expected=["cat", "dog"])
