"""What a data set is made of, and what is wrong with it."""

import hashlib

import pytest

from pipeline.core.artifacts import Rejected, Sample
from pipeline.core.errors import DataError
from pipeline.data.scan import Scanned
from pipeline.data.summary import in_words, require_usable, summarize_data, warnings_about


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


def image(path: str) -> Scanned:
    return Scanned(
        path=path, source=path, label=path.partition("/")[0], sha256="0", width=9, height=9
    )


def test_the_summary_counts_by_class_split_and_reason():
    found = summarize_data(samples(cat=5, dog=3), rejected("empty", "duplicate", "duplicate"))
    assert found == {
        "n_images": 8,
        "n_rejected": 3,
        "classes": {
            "cat": {"train": 3, "valid": 1, "test": 1},
            "dog": {"train": 1, "valid": 1, "test": 1},
        },
        "rejected": {"duplicate": 2, "empty": 1},
        # 100 100 101 101 102 102 103 104: the median is halfway between the middle two, rounded
        # down; the quartiles lie at three quarters and one quarter between their neighbours.
        "width_px": [100, 100, 101, 102, 104],
        "height_px": [50, 50, 50, 50, 50],
    }


def test_the_line_in_the_log_says_the_actual_fractions():
    line = in_words(samples(cat=5, dog=3), rejected("empty", "duplicate", "duplicate"))
    assert line == (
        "8 images: train 4 (50.0%), valid 2 (25.0%), test 2 (25.0%); "
        "3 rejected: duplicate 2, empty 1"
    )
    assert in_words(samples(cat=5), []).endswith("0 rejected")


def test_a_healthy_set_has_no_warnings():
    assert warnings_about(samples(cat=100, dog=10)) == []


def test_a_small_class_and_an_imbalance_are_told():
    few, imbalance = warnings_about(samples(cat=101, dog=10, fox=1))
    assert few.startswith("class 'fox' has 1 usable image")
    assert imbalance.startswith("class 'cat' has 101 images, 'fox' only 1")


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
        require_usable([image(path) for path in paths], expected=expected)


def test_two_classes_with_an_image_each_are_enough():
    require_usable([image("cat/1"), image("dog/1")], expected=["cat", "dog"])
