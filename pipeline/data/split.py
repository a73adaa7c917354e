"""Stable, stratified splitting that keeps groups together.

Whether an image is for training, validation or testing follows from its own content and the seed,
so adding or removing images moves no other.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import PurePosixPath

from pipeline.core.artifacts import SPLITS, Sample
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
    is for testing, then `valid_fraction` for validation. The fractions hold as a fair draw does,
    in every class.

    Chance can leave something empty only in small sets. Then a class without a training image
    gets its group of the highest number back, and a split without an image takes the nearest group
    that its class and its split can spare. These few depend on the other images.

    Args:
        images: usable images with corrected labels.
        valid_fraction: share for validation.
        test_fraction: share for testing.
        seed: another seed draws anew.
    """
    numbers = {group_of(image): _uniform(group_of(image), seed) for image in images}
    splits = {
        group: _split_of(number, valid_fraction=valid_fraction, test_fraction=test_fraction)
        for group, number in numbers.items()
    }
    # By the folder first: a corrected label must not move the image that it corrects.
    classes = [*_groups_by(images, "folder"), *_groups_by(images, "label")]
    for groups in classes:
        if all(splits[group] != "train" for group in groups):
            splits[max(groups, key=lambda g: (numbers[g], g))] = "train"
    bounds = {
        "test": (0.0, test_fraction),
        "valid": (test_fraction, test_fraction + valid_fraction),
    }
    for name, (low, high) in bounds.items():
        if low < high and name not in splits.values():
            distances = {
                (max(low - numbers[g], numbers[g] - high), g) for g in _spare(classes, splits)
            }
            splits |= {g: name for _, g in sorted(distances)[:1]}
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
    return _whole_groups(images, {path: drawn.get(path, split) for path, split in given.items()})


def to_samples(images: Sequence[Scanned], splits: Mapping[str, str]) -> list[Sample]:
    """Return the rows of data/split.csv, sorted by path.

    Args:
        images: usable images with corrected labels.
        splits: the split of each, by path.

    Raises:
        DataError: a split has no image, or a class no training image.
    """
    for name in SPLITS:
        if name not in splits.values():
            raise DataError(
                f"the {name} split is empty: {len(splits)} usable images are too few; "
                "add images to data.source"
            )
    trained = {image.label for image in images if splits[image.path] == "train"}
    for label in sorted({image.label for image in images} - trained):
        raise DataError(
            f"class {label!r} has no training image; "
            "add some to data.source, or set split.keep_given: false"
        )
    return [_sample(image, splits[image.path]) for image in sorted(images, key=attrgetter("path"))]


def _sample(image: Scanned, split: str) -> Sample:
    return Sample(
        path=image.path,
        label=image.label,
        split=split,
        sha256=image.sha256,
        width=image.width,
        height=image.height,
        group=group_of(image),
        source=image.source,
    )


def _groups_by(images: Sequence[Scanned], attribute: str) -> list[set[str]]:
    """Return the groups of each class, in the order of the class names."""
    groups: dict[str, set[str]] = defaultdict(set)
    for image in images:
        groups[getattr(image, attribute)].add(group_of(image))
    return [groups[name] for name in sorted(groups)]


def _spare(classes: Sequence[set[str]], splits: Mapping[str, str]) -> set[str]:
    """Return the groups without which no split is empty and every class has a training group."""
    counts = Counter(splits.values())
    training = {group for group, split in splits.items() if split == "train"}
    needed = {g for groups in classes if len(groups & training) == 1 for g in groups & training}
    return {group for group, split in splits.items() if counts[split] > 1} - needed


def _whole_groups(images: Sequence[Scanned], splits: dict[str, str]) -> dict[str, str]:
    """Give a divided group to training: what was trained on must not be tested on."""
    first: dict[str, str] = {}
    for image in images:
        group = group_of(image)
        first[group] = min(first.get(group, "test"), splits[image.path], key=SPLITS.index)
    return {image.path: first[group_of(image)] for image in images}


def _split_of(number: float, *, valid_fraction: float, test_fraction: float) -> str:
    if number < test_fraction:
        return "test"
    return "valid" if number < test_fraction + valid_fraction else "train"


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
