"""Two ways to draw a split over groups: each by its own number, or to exact counts per class.

A group's number is uniform in [0, 1) and follows from its name and the seed alone. Low numbers are
for testing, the next for validation.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from math import floor

HELD_OUT = ("test", "valid")


def number_of(group: str, *, seed: int) -> float:
    """Return a group's number, independent of all other groups'."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def by_number(numbers: Mapping[str, float], fractions: Mapping[str, float]) -> dict[str, str]:
    """Return the split of each group: the lowest numbers test, the next valid, the rest train.

    No group's split depends on another's. The fractions hold as a fair draw does, in every class.

    Args:
        numbers: by group.
        fractions: share for `test` and for `valid`.
    """
    test_end = fractions["test"]
    valid_end = test_end + fractions["valid"]

    def split_of(number: float) -> str:
        if number < test_end:
            return "test"
        return "valid" if number < valid_end else "train"

    return {group: split_of(number) for group, number in numbers.items()}


def by_count(
    numbers: Mapping[str, float],
    sizes: Mapping[str, Mapping[str, int]],
    fractions: Mapping[str, float],
) -> dict[str, str]:
    """Return the split of each group, so that every class gets `held_out_counts`.

    In the order of their numbers, groups that still fit are for testing, then for validation. What
    is missing after that, because groups are large, is filled up with the first groups that bring
    the counts closer, though they overshoot. Another group may change the split of all.

    Args:
        numbers: by group.
        sizes: by group, its images of each class.
        fractions: share for `test` and for `valid`.
    """
    class_sizes: Counter[str] = Counter()
    for size in sizes.values():
        class_sizes.update(size)
    missing = held_out_counts(class_sizes, fractions)
    splits = dict.fromkeys(numbers, "train")
    order = sorted(numbers, key=lambda group: (numbers[group], group))
    for suits in (_fits, _comes_closer):
        for name in HELD_OUT:
            for group in order:
                if splits[group] == "train" and suits(sizes[group], missing[name]):
                    splits[group] = name
                    missing[name].subtract(sizes[group])
    return splits


def held_out_counts(
    class_sizes: Mapping[str, int], fractions: Mapping[str, float]
) -> dict[str, Counter[str]]:
    """Return how many images of each class are for `test` and for `valid`.

    The method of largest remainders: each class gets its share rounded down, and the images that
    the rounded total still lacks go to the classes that lost most; among equals, to the first by
    name. Each class keeps one image for training.

    Args:
        class_sizes: images by class.
        fractions: share for `test` and for `valid`.

    Source: Balinski and Young 1982, Fair Representation, chapter 3 (the method of Hamilton).
    """
    shares = {
        # As people mean it: in binary, 0.29 * 100 is 28.999999999999996.
        split: {name: size * Fraction(str(fractions[split])) for name, size in class_sizes.items()}
        for split in HELD_OUT
    }
    counts = {split: Counter({n: floor(s) for n, s in shares[split].items()}) for split in HELD_OUT}
    free = {
        name: size - 1 - sum(counts[split][name] for split in HELD_OUT)
        for name, size in class_sizes.items()
    }
    for split, share in shares.items():
        lacking = floor(sum(share.values()) + Fraction(1, 2)) - counts[split].total()
        lost = [(counts[split][name] - share[name], name) for name in share if free[name] > 0]
        for loss, name in sorted(lost)[:lacking]:
            if loss < 0:
                counts[split][name] += 1
                free[name] -= 1
    return counts


def _fits(size: Mapping[str, int], missing: Counter[str]) -> bool:
    return all(missing[name] >= n for name, n in size.items())


def _comes_closer(size: Mapping[str, int], missing: Counter[str]) -> bool:
    now = sum(abs(missing[name]) for name in size)
    return sum(abs(missing[name] - n) for name, n in size.items()) < now
