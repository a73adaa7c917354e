"""Stable, stratified splitting that keeps groups together.

Whether an image is for training, validation or testing follows from its own content and the seed,
so adding or removing images moves no other.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from pipeline.core.artifacts import SPLITS
from pipeline.core.errors import DataError
from pipeline.data.scan import Scanned

GIVEN = {"train": "train", "valid": "valid", "validation": "valid", "val": "valid", "test": "test"}
"""What a folder of the source must be called for `keep_given`."""


def group_of(image: Scanned) -> str:
    """Return the name of the group that is never divided: for now, of equal bytes."""
    return image.sha256[:12]


def hash_split(
    images: Sequence[Scanned], *, valid_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """Return the split of each image, by path.

    A group's number, uniform in [0, 1), comes from its name and the seed: below `test_fraction` it
    is for testing, then `valid_fraction` for validation. The fractions hold as a fair draw does.
    Where chance leaves valid or test without an image, the group nearest to the boundary goes
    there; where it leaves a class without a training image, that class's highest group trains.

    Args:
        images: usable images with their original labels.
        valid_fraction: share for validation.
        test_fraction: share for testing.
        seed: another seed draws anew.

    """
    numbers = {group_of(image): _uniform(group_of(image), seed) for image in images}
    valid_end = test_fraction + valid_fraction
    splits = {
        group: "test" if u < test_fraction else "valid" if u < valid_end else "train"
        for group, u in numbers.items()
    }
    for name, fraction, start in (
        ("test", test_fraction, 0.0),
        ("valid", valid_fraction, test_fraction),
    ):
        if fraction > 0 and name not in splits.values():
            donors = [group for group, split in splits.items() if split == "train"]
            if donors:
                splits[min(donors, key=lambda g: (abs(numbers[g] - start), g))] = name
    _train_every_class(images, splits, numbers)
    return {image.path: splits[group_of(image)] for image in images}


def given_split(
    images: Sequence[Scanned], *, valid_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """Return the split that the source's folders say, by path.

    A split that the source lacks is drawn from its training images, as `hash_split` draws.

    Raises:
        DataError: an image lies in no train, valid or test folder.
    """
    given = {image.path: _given(image) for image in images}
    present = set(given.values())
    if "train" not in present:
        raise DataError(
            "split.keep_given: found true, but no image lies in a train folder; set it to false"
        )
    drawn = hash_split(
        [image for image in images if given[image.path] == "train"],
        valid_fraction=0.0 if "valid" in present else valid_fraction,
        test_fraction=0.0 if "test" in present else test_fraction,
        seed=seed,
    )
    return {path: drawn.get(path, split) for path, split in given.items()}


def require_all_splits(splits: Mapping[str, str]) -> None:
    """Check that each of train, valid and test has an image.

    Raises:
        DataError: one has none.
    """
    for name in SPLITS:
        if name not in splits.values():
            raise DataError(
                f"the {name} split is empty: {len(splits)} usable images are too few; "
                "add images to data.source, or raise its fraction in section split"
            )


def _train_every_class(
    images: Sequence[Scanned], splits: dict[str, str], numbers: Mapping[str, float]
) -> None:
    for label in sorted({image.label for image in images}):
        groups = {group_of(image) for image in images if image.label == label}
        if not any(splits[group] == "train" for group in groups):
            splits[max(groups, key=lambda g: (numbers[g], g))] = "train"


def _uniform(group: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _given(image: Scanned) -> str:
    for part in PurePosixPath(image.source.replace("\\", "/")).parts[:-1]:
        if part.lower() in GIVEN:
            return GIVEN[part.lower()]
    raise DataError(
        f"split.keep_given: found true, but {image.source} lies in no train, valid or test folder; "
        "set it to false"
    )
