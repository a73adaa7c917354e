"""What the data set is made of, in numbers and in warnings."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from pipeline.core.artifacts import SPLITS, Rejected, Sample
from pipeline.core.errors import DataError
from pipeline.data.scan import Scanned

FEW_IMAGES = 10
IMBALANCE = 10


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


def summarize_data(samples: Sequence[Sample], rejected: Sequence[Rejected]) -> dict[str, Any]:
    """Return counts and sizes, ready for JSON."""
    counts = Counter((sample.label, sample.split) for sample in samples)
    classes = sorted({sample.label for sample in samples})
    quartiles = [0, 25, 50, 75, 100]
    return {
        "n_images": len(samples),
        "n_rejected": len(rejected),
        "classes": {c: {split: counts[c, split] for split in SPLITS} for c in classes},
        "rejected": dict(sorted(Counter(row.reason for row in rejected).items())),
        "width_px": np.percentile([s.width for s in samples], quartiles).astype(int).tolist(),
        "height_px": np.percentile([s.height for s in samples], quartiles).astype(int).tolist(),
    }


def warnings_about(samples: Sequence[Sample]) -> list[str]:
    """Return one sentence a doubt about the counts."""
    counts = Counter(sample.label for sample in samples)
    found = [
        f"class {label!r} has {n} usable images; some hundred are needed to learn anything"
        for label, n in sorted(counts.items())
        if n < FEW_IMAGES
    ]
    (largest, most), (smallest, least) = counts.most_common()[0], counts.most_common()[-1]
    if most > IMBALANCE * least:
        found.append(
            f"class {largest!r} has {most} images, {smallest!r} only {least}: "
            "accuracy says little about the small class, see its recall"
        )
    return found


def in_words(samples: Sequence[Sample], rejected: Sequence[Rejected]) -> str:
    """Return in one line how many images each split got and how many were rejected."""
    per_split = Counter(sample.split for sample in samples)
    splits = ", ".join(f"{s} {per_split[s]} ({per_split[s] / len(samples):.1%})" for s in SPLITS)
    reasons = Counter(row.reason for row in rejected)
    why = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
    return f"{len(samples)} images: {splits}; {len(rejected)} rejected" + (
        f": {why}" if why else ""
    )
