"""What the data set is made of, in numbers and in warnings."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import comb
from typing import Any

import numpy as np

from pipeline.core.artifacts import SPLITS, Rejected, Sample
from pipeline.core.errors import DataError
from pipeline.data.groups import Pair, connected
from pipeline.data.scan import Scanned

FEW_IMAGES = 10
IMBALANCE = 10
MAX_NAMED = 5
QUARTILES = {"min": 0, "q1": 25, "median": 50, "q3": 75, "max": 100}
"""In percent. By name and not as a list, for `dvc metrics` leaves lists out."""


def require_usable(images: Sequence[Scanned], *, expected: Collection[str]) -> None:
    """Check that there is something to tell apart.

    Args:
        images: usable images with corrected labels.
        expected: the classes that should have one.

    Raises:
        DataError: no usable image, a class without one, or a single class.
    """
    if not images:
        raise DataError("no image is usable; data/rejected.csv says why, one row each")
    classes = {image.label for image in images}
    for label in sorted(set(expected) - classes):
        raise DataError(
            f"class {label!r} has no usable image; "
            "data/rejected.csv says why: mend its images or remove the class"
        )
    if len(classes) < 2:
        raise DataError(
            f"only one class, {min(classes)!r}; a classifier needs two or more: "
            "data.source should hold one folder of images a class"
        )


def require_no_leak(summary: Mapping[str, Any]) -> None:
    """Check what the groups are for.

    Raises:
        RuntimeError: images that show the same lie in different splits: a bug of this project.
    """
    if summary["leaked_pairs"]:
        raise RuntimeError(f"{summary['leaked_pairs']} pairs of equal images are divided")


def summarize_data(
    samples: Sequence[Sample],
    rejected: Sequence[Rejected],
    *,
    images: Sequence[Scanned],
    pairs: Sequence[Pair],
    wanted: Mapping[str, float],
    divided: Collection[str],
) -> dict[str, Any]:
    """Return what reports/data/summary.json says.

    Args:
        samples: the usable images.
        rejected: all others.
        images: the same as `samples`, as they were scanned.
        pairs: images that show the same, also those of images that were set aside.
        wanted: the fractions that were asked for `test` and `valid`; empty if the split was given.
        divided: the groups that the given split divides.
    """
    classes: dict[str, Counter[str]] = {}
    for sample in samples:
        classes.setdefault(sample.label, Counter())[sample.split] += 1
    sizes = {label: counts.total() for label, counts in classes.items()}
    splits = Counter(sample.split for sample in samples)
    shares = {"train": 1 - sum(wanted.values()), **wanted} if wanted else {}
    reasons = Counter(row.reason for row in rejected)
    near = [pair for pair in _usable(pairs, samples) if pair.kind == "near"]
    near_groups = Counter(connected((pair.first, pair.second) for pair in near).values())
    return {
        "n_images": len(samples),
        "n_rejected": len(rejected),
        "n_groups": len({sample.group for sample in samples}),
        "classes": {label: _class(classes[label]) for label in sorted(classes)},
        "splits": {s: _split(splits[s], len(samples), shares.get(s)) for s in SPLITS},
        "rejected": dict(sorted(reasons.items())),
        "exact_duplicates": reasons["duplicate"],
        "conflicts": reasons["conflict"],
        "near_duplicates": {
            "groups": len(near_groups),
            "images": near_groups.total(),
            "pairs_under_two_labels": len(pairs_under_two_labels(samples, near)),
        },
        "leaked_pairs": leaked_pairs(samples, pairs),
        "divided_groups": len(divided),
        "few_images": {label: n for label, n in sorted(sizes.items()) if n < FEW_IMAGES},
        "imbalance_ratio": round(max(sizes.values()) / min(sizes.values()), 2),
        "width_px": _quartiles([image.width for image in images], digits=0),
        "height_px": _quartiles([image.height for image in images], digits=0),
        "brightness": _quartiles([image.look.brightness for image in images], digits=1),
        "sharpness": _quartiles([image.look.sharpness for image in images], digits=1),
    }


def leaked_pairs(samples: Sequence[Sample], pairs: Iterable[Pair]) -> int:
    """Return how many pairs of images that show the same lie in different splits: 0, or it leaks.

    Counted from the rows of split.csv and the pairs alone, not from the groups that should prevent
    it. Pairs of equal bytes are counted whether or not they are among `pairs`.
    """
    by_bytes: dict[str, Counter[str]] = {}
    for sample in samples:
        by_bytes.setdefault(sample.sha256, Counter())[sample.split] += 1
    equal = sum(
        comb(splits.total(), 2) - sum(comb(n, 2) for n in splits.values())
        for splits in by_bytes.values()
    )
    sample_of = {sample.path: sample for sample in samples}
    others = {
        frozenset((pair.first, pair.second))
        for pair in _usable(pairs, samples)
        if sample_of[pair.first].split != sample_of[pair.second].split
        and sample_of[pair.first].sha256 != sample_of[pair.second].sha256
    }
    return equal + len(others)


def pairs_under_two_labels(samples: Sequence[Sample], pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs of usable images with different labels: one of them may be wrong."""
    labels = {sample.path: sample.label for sample in samples}
    return [pair for pair in _usable(pairs, samples) if labels[pair.first] != labels[pair.second]]


def warnings_about(samples: Sequence[Sample], pairs: Sequence[Pair]) -> list[str]:
    """Return one sentence a doubt about the counts and the pairs."""
    counts = Counter(sample.label for sample in samples)
    found = [
        f"class {label!r} has {n} usable image{'' if n == 1 else 's'}; "
        "some hundred are needed to learn anything"
        for label, n in sorted(counts.items())
        if n < FEW_IMAGES
    ]
    (largest, most), (smallest, least) = counts.most_common()[0], counts.most_common()[-1]
    if most > IMBALANCE * least:
        found.append(
            f"class {largest!r} has {most} images, {smallest!r} only {least}: "
            "accuracy says little about the small class, see its recall"
        )
    if doubtful := pairs_under_two_labels(samples, pairs):
        named = "; ".join(f"{pair.first} and {pair.second}" for pair in doubtful[:MAX_NAMED])
        more = f" and {len(doubtful) - MAX_NAMED} more" if len(doubtful) > MAX_NAMED else ""
        found.append(
            f"near duplicates under different labels: {len(doubtful)} ({named}{more}); "
            "correct the wrong labels in data/corrections.csv"
        )
    return found


def in_words(summary: Mapping[str, Any]) -> list[str]:
    """Return two lines: what the first classes have in each split, and what all have together."""
    classes = [
        f"{label} {', '.join(f'{split} {_share_of(counts, split)}' for split in ('valid', 'test'))}"
        for label, counts in list(summary["classes"].items())[:MAX_NAMED]
    ]
    n_more = len(summary["classes"]) - len(classes)
    splits = [
        f"{name} {split['n_images']} ({split['fraction']:.1%}"
        + (f", wanted {split['wanted']:.1%})" if "wanted" in split else ")")
        for name, split in summary["splits"].items()
    ]
    reasons = ", ".join(f"{reason} {n}" for reason, n in summary["rejected"].items())
    return [
        f"per class: {'; '.join(classes)}"
        + (f"; and {n_more} more in reports/data/summary.json" if n_more else ""),
        f"{summary['n_images']} images: {', '.join(splits)}; {summary['n_rejected']} rejected"
        + (f": {reasons}" if reasons else ""),
    ]


def _share_of(counts: Mapping[str, float], split: str) -> str:
    return f"{counts[split]} ({counts[f'{split}_fraction']:.1%})"


def _class(counts: Counter[str]) -> dict[str, float]:
    """Return what one class has in each split."""
    shares = {
        f"{split}_fraction": round(counts[split] / counts.total(), 4) for split in ("valid", "test")
    }
    return {split: counts[split] for split in SPLITS} | shares


def _split(n_images: int, total: int, wanted: float | None) -> dict[str, float]:
    """Return what one split has of all."""
    found = {"n_images": n_images, "fraction": round(n_images / total, 4)}
    return found if wanted is None else found | {"wanted": round(wanted, 4)}


def _usable(pairs: Iterable[Pair], samples: Sequence[Sample]) -> list[Pair]:
    paths = {sample.path for sample in samples}
    return [pair for pair in pairs if pair.first in paths and pair.second in paths]


def _quartiles(values: Sequence[float], *, digits: int) -> dict[str, float]:
    """Return the least, the three quartiles and the largest."""
    found = np.percentile(values, list(QUARTILES.values()))
    rounded = [round(float(value), digits) if digits else round(float(value)) for value in found]
    return dict(zip(QUARTILES, rounded, strict=True))
