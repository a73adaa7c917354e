"""Groups are drawn by their own numbers, or to exact counts."""

from collections import Counter

import pytest

from pipeline.data.draws import by_count, by_number, held_out_counts, number_of


def test_a_groups_number_is_the_head_of_a_sha256_as_a_fraction():
    # printf 7:abc | sha256sum: d9d02ef4...; 0xd9d02ef4 / 2**32 = 0.850833.
    assert number_of("abc", seed=7) == pytest.approx(0.850833, abs=1e-6)
    assert number_of("abc", seed=8) != number_of("abc", seed=7)


def test_low_numbers_are_for_testing_and_the_next_for_validation():
    numbers = {"a": 0.0, "b": 0.19, "c": 0.2, "d": 0.29, "e": 0.31, "f": 0.999}
    assert "".join(
        split[1] for split in by_number(numbers, {"valid": 0.1, "test": 0.2}).values()
    ) == ("eeaarr")


@pytest.mark.parametrize(
    ("sizes", "valid", "test", "expected"),
    [
        # Shares 15 and 30, without remainders.
        ({"cat": 100, "dog": 200}, 0.1, 0.15, {"test": [15, 30], "valid": [10, 20]}),
        # 0.29 * 100 is just below 29 in binary.
        ({"cat": 100, "dog": 100}, 0.29, 0.29, {"test": [29, 29], "valid": [29, 29]}),
        # Test 1.4 + 1.4 + 1.2 = 4: one more than 1 + 1 + 1, for the first of the largest
        # remainders. Valid 0.7 + 0.7 + 0.6 = 2: two for 0.7 and 0.7.
        ({"ant": 7, "bee": 7, "cow": 6}, 0.1, 0.2, {"test": [2, 1, 1], "valid": [1, 1, 0]}),
        # Single images train: nothing to hold out in two of three classes; of ten, 1.2 is for
        # testing, and of the rounded total of 1.44 nothing is lacking.
        ({"ant": 1, "bee": 1, "cow": 10}, 0.1, 0.12, {"test": [0, 0, 1], "valid": [0, 0, 1]}),
        # Test 0.9 + 0.9 = 1.8, rounded 2; valid 0.9 + 0.9 likewise; of three one remains.
        ({"ant": 3, "bee": 3}, 0.3, 0.3, {"test": [1, 1], "valid": [1, 1]}),
        # Of two images one must remain: testing takes it first.
        ({"ant": 2, "bee": 2}, 0.4, 0.4, {"test": [1, 1], "valid": [0, 0]}),
    ],
)
def test_held_out_counts_are_the_shares_by_largest_remainders(sizes, valid, test, expected):
    counts = held_out_counts(sizes, {"valid": valid, "test": test})
    assert {s: [counts[s][name] for name in sizes] for s in ("test", "valid")} == expected


def drawn(sizes: dict[str, dict[str, int]], *, valid: float, test: float) -> dict[str, str]:
    """Draw groups whose numbers rise in the order given."""
    numbers = {group: k / 1000 for k, group in enumerate(sizes)}
    return by_count(
        numbers,
        {group: Counter(size) for group, size in sizes.items()},
        {"valid": valid, "test": test},
    )


def test_single_images_fill_the_counts_of_their_class_in_the_order_of_their_numbers():
    sizes = {f"{label}{k}": {label: 1} for k in range(10) for label in ("cat", "dog")}
    splits = drawn(sizes, valid=0.2, test=0.3)
    for label in ("cat", "dog"):
        assert [splits[f"{label}{k}"] for k in range(10)] == (
            ["test"] * 3 + ["valid"] * 2 + ["train"] * 5
        )


def test_a_group_too_large_for_what_is_missing_is_passed_over():
    # Of ten images 2 are for testing: the group of three comes first and does not fit.
    sizes = {"big": {"cat": 3}} | {f"{k}": {"cat": 1} for k in range(7)}
    splits = drawn(sizes, valid=0.1, test=0.2)
    assert [g for g, split in splits.items() if split == "test"] == ["0", "1"]
    assert splits["big"] == "train"


def test_where_only_large_groups_exist_the_counts_come_as_close_as_these_allow():
    # 100 images in groups of 20: 15 are wanted for testing, and 20 are closer than none. 10 are
    # wanted for validation, and 20 are as far away as none.
    sizes = {f"{k}": {"cat": 20} for k in range(5)}
    splits = drawn(sizes, valid=0.1, test=0.15)
    assert Counter(splits.values()) == {"test": 1, "train": 4}


def test_a_group_of_two_classes_counts_in_both():
    sizes = {"both": {"cat": 1, "dog": 1}}
    sizes |= {f"{label}{k}": {label: 1} for k in range(9) for label in ("cat", "dog")}
    splits = drawn(sizes, valid=0.1, test=0.1)
    assert splits["both"] == "test"
    assert [g for g, split in splits.items() if split == "valid"] == ["cat0", "dog0"]
