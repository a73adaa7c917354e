"""What the data is: images per class and split, a few of them, and what was set aside."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.artifacts import SPLITS, Rejected, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCount:
    """How many usable images one class has, per split in the order of `SPLITS`."""

    name: str
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """Images of all splits."""
        return sum(self.counts)


def class_counts(samples: Sequence[Sample], classes: Sequence[str]) -> tuple[ClassCount, ...]:
    """Return one row per class, in the order given."""
    found = Counter((sample.label, sample.split) for sample in samples)
    return tuple(
        ClassCount(name=name, counts=tuple(found[name, split] for split in SPLITS))
        for name in classes
    )


def samples_per_class(
    samples: Sequence[Sample], classes: Sequence[str], *, n: int, seed: int
) -> dict[str, tuple[str, ...]]:
    """Return at most n paths of each class, drawn without replacement."""
    paths: dict[str, list[str]] = {name: [] for name in classes}
    for sample in samples:
        if sample.label in paths:
            paths[sample.label].append(sample.path)
    draw = random.Random(seed)
    return {name: tuple(draw.sample(found, min(n, len(found)))) for name, found in paths.items()}


def reasons(rejected: Sequence[Rejected]) -> tuple[tuple[str, int], ...]:
    """Return how many images each reason set aside, the commonest first."""
    found = Counter(row.reason for row in rejected)
    return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def set_aside(rejected: Sequence[Rejected]) -> tuple[Rejected, ...]:
    """Return the rejected images that can be decoded, what most needs a person first."""
    kinds = {reason: k for k, reason in enumerate(("conflict", "duplicate", "dropped"))}
    found = [row for row in rejected if row.reason in kinds and row.path]
    return tuple(sorted(found, key=lambda row: (kinds[row.reason], row.detail, row.path)))


def groups_of_several(samples: Sequence[Sample]) -> list[tuple[Sample, ...]]:
    """Return the images that belong together, two labels in one group first, then the largest."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.group, []).append(sample)
    several = [tuple(group) for group in groups.values() if len(group) > 1]

    def order(group: tuple[Sample, ...]) -> tuple[bool, int, str]:
        return len({sample.label for sample in group}) == 1, -len(group), group[0].path

    return sorted(several, key=order)
