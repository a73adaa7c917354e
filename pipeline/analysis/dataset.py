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
