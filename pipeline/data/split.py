"""Stratified splitting that keeps groups together, whatever the order of the images."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from operator import attrgetter

from pipeline.core.artifacts import SPLITS, Sample
from pipeline.core.errors import DataError
from pipeline.data.draws import HELD_OUT, by_count, by_number, held_out_counts, number_of
from pipeline.data.given import divided_groups, splits_of_groups
from pipeline.data.scan import Scanned

MAX_NAMED = 5


def split_images(
    images: Sequence[Scanned],
    groups: Mapping[str, str],
    *,
    given: Mapping[str, str],
    method: str,
    fractions: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """Return the split of each image, by path: the given one if there is one, else a drawn one.

    Where some images are given to a split, those that are given to training or to none are for
    training, but for the splits that no image is given to: these are drawn from them.

    Args:
        images: usable images with corrected labels.
        groups: the name of each image's group, by path.
        given: the given split, by path (see `given_splits`); empty to draw all.
        method: `hash`: adding or removing images moves no image of another group; `exact`: the
            fractions are met in every class folder, but for what large groups make impossible.
        fractions: share of the drawn images for `test` and for `valid`.
        seed: another seed draws anew.
    """
    fixed = splits_of_groups(groups, given)
    divided = set(divided_groups(groups, given))
    held_out = {group: split for group, split in fixed.items() if split != "train"}
    drawn = _draw(
        [image for image in images if groups[image.path] not in held_out.keys() | divided],
        groups,
        method=method,
        fractions={s: 0.0 if s in held_out.values() else fractions[s] for s in HELD_OUT},
        seed=seed,
    )
    splits = fixed | drawn
    return {image.path: splits[groups[image.path]] for image in images}


def to_samples(
    images: Sequence[Scanned], groups: Mapping[str, str], splits: Mapping[str, str]
) -> list[Sample]:
    """Return the rows of data/split.csv, sorted by path.

    Args:
        images: usable images with corrected labels.
        groups: the name of each image's group, by path.
        splits: the split of each image, by path.

    Raises:
        DataError: a split has no image, or a class no training image.
    """
    for name in SPLITS:
        if name not in splits.values():
            raise DataError(
                f"the {name} split is empty: {len(images)} usable images in "
                f"{len({groups[i.path] for i in images})} groups are too few; "
                "add images to data.source"
            )
    trained = {image.label for image in images if splits[image.path] == "train"}
    for label in sorted({image.label for image in images} - trained):
        raise DataError(
            f"class {label!r} has no training image; "
            "add some to data.source, or set split.keep_given: false"
        )
    return [
        Sample(
            path=image.path,
            label=image.label,
            split=splits[image.path],
            sha256=image.sha256,
            width=image.width,
            height=image.height,
            group=groups[image.path],
            source=image.source,
        )
        for image in sorted(images, key=attrgetter("path"))
    ]


def warn_inexact(
    images: Sequence[Scanned], splits: Mapping[str, str], fractions: Mapping[str, float]
) -> list[str]:
    """Return a sentence on the class folders whose counts are not those of `held_out_counts`."""
    wanted = held_out_counts(Counter(image.folder for image in images), fractions)
    found = Counter((image.folder, splits[image.path]) for image in images)
    off = [
        f"{folder} {split} {found[folder, split]} instead of {n_wanted}"
        for split in HELD_OUT
        for folder, n_wanted in sorted(wanted[split].items())
        if found[folder, split] != n_wanted
    ]
    if not off:
        return []
    more = f" and {len(off) - MAX_NAMED} more" if len(off) > MAX_NAMED else ""
    return [
        "split.method exact: groups that stay whole, or too few images, leave "
        f"{', '.join(off[:MAX_NAMED])}{more}"
    ]


def _draw(
    images: Sequence[Scanned],
    groups: Mapping[str, str],
    *,
    method: str,
    fractions: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """Return the split of each of the images' groups, by its name.

    Chance can leave something empty only in small sets. Then a class without a training image
    gets its group of the highest number back, and a split without an image takes the nearest group
    that its class and its split can spare. These few depend on the other images.
    """
    # By the folder: a corrected label must not move the image that it corrects.
    sizes: dict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        sizes[groups[image.path]][image.folder] += 1
    numbers = {group: number_of(group, seed=seed) for group in sizes}
    if method == "exact":
        splits = by_count(numbers, sizes, fractions)
    else:
        splits = by_number(numbers, fractions)
    classes = [*_groups_by(images, groups, "folder"), *_groups_by(images, groups, "label")]
    for names in classes:
        if all(splits[group] != "train" for group in names):
            splits[max(names, key=lambda g: (numbers[g], g))] = "train"
    test_end, valid_end = fractions["test"], fractions["test"] + fractions["valid"]
    bounds = {"test": (0.0, test_end), "valid": (test_end, valid_end)}
    for name, (low, high) in bounds.items():
        if low < high and name not in splits.values():
            distances = {
                (max(low - numbers[g], numbers[g] - high), g) for g in _spare(classes, splits)
            }
            splits |= {g: name for _, g in sorted(distances)[:1]}
    return splits


def _groups_by(
    images: Sequence[Scanned], groups: Mapping[str, str], attribute: str
) -> list[set[str]]:
    """Return the groups of each class, in the order of the class names."""
    names: dict[str, set[str]] = defaultdict(set)
    for image in images:
        names[getattr(image, attribute)].add(groups[image.path])
    return [names[name] for name in sorted(names)]


def _spare(classes: Sequence[set[str]], splits: Mapping[str, str]) -> set[str]:
    """Return the groups without which no split is empty and every class has a training group."""
    counts = Counter(splits.values())
    training = {group for group, split in splits.items() if split == "train"}
    needed = {g for names in classes if len(names & training) == 1 for g in names & training}
    return {group for group, split in splits.items() if counts[split] > 1} - needed
