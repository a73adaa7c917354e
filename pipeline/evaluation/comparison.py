"""Two models on the same images: better, worse, or no evidence?

Both answered every image, so their errors are paired, and what tells them apart are the images that
only one of them gets right.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy.stats import binomtest, bootstrap

from pipeline.core.artifacts import Prediction, Predictions
from pipeline.core.errors import DataError
from pipeline.evaluation.interval import Floats, rounded

ALPHA = 0.05
"""A smaller p-value is evidence."""
RESAMPLES = 10_000
MIN_PAIRS = 2
LEAST_PROB = 5e-7
"""What a probability of 0 may have been: predictions.csv has six digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One image and both answers."""

    path: str
    label: str
    """The newer one, where they differ."""
    old: Prediction
    new: Prediction

    @property
    def was_right(self) -> bool:
        """Tell whether the old model was right."""
        return self.old.predicted == self.label

    @property
    def is_right(self) -> bool:
        """Tell whether the new model is right."""
        return self.new.predicted == self.label


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A figure of both models, and new minus old with its 95 % interval."""

    old: float
    new: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two models' predictions say about each other."""

    n: int
    """Images that both were tested on."""
    n_only_old: int
    n_only_new: int
    relabelled: tuple[str, ...]
    """Images of another label now; the newer one counts for both models."""
    accuracy: Difference
    log_loss: Difference
    """Nats; less is better."""
    fixed: tuple[Pair, ...]
    """Images that only the new model gets right, those first that the old one was surest about."""
    broken: tuple[Pair, ...]
    """Images that only the old model gets right, those first that the new one is surest about."""
    p_value: float
    """Of McNemar's exact test, two-sided."""

    @property
    def verdict(self) -> str:
        """`better` or `worse` in accuracy, or `no evidence`."""
        if self.p_value >= ALPHA:
            return "no evidence"
        return "better" if len(self.fixed) > len(self.broken) else "worse"

    def sentence(self, old: str, new: str) -> str:
        """Return the verdict in words.

        Args:
            old: what the old model is called.
            new: what the new model is called.
        """
        counts = (
            f"{new} is right on {_images(len(self.fixed))} that {old} gets wrong, and wrong on "
            f"{_images(len(self.broken))} that {old} gets right (McNemar's exact test: "
            f"p = {p_text(self.p_value)}, n = {self.n})"
        )
        if self.verdict == "no evidence":
            return f"no evidence at n = {self.n} that {new} is better or worse than {old}: {counts}"
        return f"{new} is {self.verdict} than {old}: {counts}"

    def to_json(self) -> dict[str, Any]:
        """Return all of it, rounded; images by their paths."""
        return {
            "n": self.n,
            "n_only_old": self.n_only_old,
            "n_only_new": self.n_only_new,
            "relabelled": list(self.relabelled),
            "accuracy": {k: rounded(v) for k, v in asdict(self.accuracy).items()},
            "log_loss": {k: rounded(v) for k, v in asdict(self.log_loss).items()},
            "fixed": [pair.path for pair in self.fixed],
            "broken": [pair.path for pair in self.broken],
            "p_value": float(f"{self.p_value:.6g}"),
            "verdict": self.verdict,
        }


def compare(
    old: Predictions, new: Predictions, *, rng: Generator, n_resamples: int = RESAMPLES
) -> Comparison:
    """Compare two models on the images that both were tested on.

    Args:
        old: test predictions of the older model.
        new: test predictions of the newer model.
        rng: draws the bootstrap's samples.
        n_resamples: of the bootstrap.

    Raises:
        DataError: the models know different classes, or share fewer than two test images.
    """
    pairs, relabelled = pair_up(old, new)
    if len(pairs) < MIN_PAIRS:
        raise DataError(
            f"{len(pairs)} test images in both, of {len(old.rows)} and {len(new.rows)}; "
            "compare runs on the same data"
        )
    fixed = [p for p in pairs if p.is_right and not p.was_right]
    broken = [p for p in pairs if p.was_right and not p.is_right]
    right = np.array([(p.was_right, p.is_right) for p in pairs], np.float64)
    losses = np.array([_losses(pair, old.classes, new.classes) for pair in pairs])
    return Comparison(
        n=len(pairs),
        n_only_old=len(old.rows) - len(pairs),
        n_only_new=len(new.rows) - len(pairs),
        relabelled=relabelled,
        accuracy=paired_difference(right, rng=rng, n_resamples=n_resamples),
        log_loss=paired_difference(losses, rng=rng, n_resamples=n_resamples),
        fixed=tuple(sorted(fixed, key=lambda pair: (-pair.old.confidence, pair.path))),
        broken=tuple(sorted(broken, key=lambda pair: (-pair.new.confidence, pair.path))),
        p_value=mcnemar_exact(len(fixed), len(broken)),
    )


def pair_up(old: Predictions, new: Predictions) -> tuple[list[Pair], tuple[str, ...]]:
    """Return the images in both, in the order of `new`, and which of them have another label.

    Raises:
        DataError: the models know different classes.
    """
    gone, come = set(old.classes) - set(new.classes), set(new.classes) - set(old.classes)
    if gone or come:
        raise DataError(
            f"the classes differ: only old {_some(gone)}, only new {_some(come)}; "
            "compare models of the same classes"
        )
    rows = {row.path: row for row in old.rows}
    both = [(rows[row.path], row) for row in new.rows if row.path in rows]
    pairs = [Pair(path=row.path, label=row.label, old=before, new=row) for before, row in both]
    return pairs, tuple(row.path for before, row in both if before.label != row.label)


def mcnemar_exact(n_fixed: int, n_broken: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    If the models are equally good, an image that only one of them gets right is as likely to be the
    one's as the other's: n_fixed is binomial with p = 1/2 among n_fixed + n_broken.

    Source: McNemar 1947, Psychometrika 12(2), p. 153; exact as in Fagerland, Lydersen and Laake
    2013, BMC Medical Research Methodology 13:91.
    """
    n = n_fixed + n_broken
    return float(binomtest(n_fixed, n).pvalue) if n else 1.0


def paired_difference(
    values: Floats, *, rng: Generator, n_resamples: int = RESAMPLES
) -> Difference:
    """Return the means of both models and the interval of their difference.

    Args:
        values: (N, 2), N >= 2, old and new of each image.
        rng: draws the samples.
        n_resamples: of the percentile bootstrap over images, both models on the same sample.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    differences = values[:, 1] - values[:, 0]
    found = bootstrap(
        (differences,),
        np.mean,
        n_resamples=n_resamples,
        batch=max(1, 2**20 // len(differences)),  # 8 MB at a time
        method="percentile",
        confidence_level=0.95,
        rng=rng,
    ).confidence_interval
    return Difference(
        old=float(values[:, 0].mean()),
        new=float(values[:, 1].mean()),
        difference=float(differences.mean()),
        low=float(found.low),
        high=float(found.high),
    )


def p_text(p_value: float) -> str:
    """Return a p-value as people write it: two digits, or `< 0.0001`."""
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def _losses(pair: Pair, old: Sequence[str], new: Sequence[str]) -> tuple[float, float]:
    """Return the losses of both models, whose classes are given, measured alike."""
    if pair.old.label == pair.new.label:
        return pair.old.loss, pair.new.loss
    # The old model's loss is that of the old label; the new model's has more digits than `probs`.
    was, now = pair.old.probs[old.index(pair.label)], pair.new.probs[new.index(pair.label)]
    return -math.log(max(was, LEAST_PROB)), -math.log(max(now, LEAST_PROB))


def _images(n: int) -> str:
    return f"{n} image" if n == 1 else f"{n} images"


def _some(names: set[str]) -> str:
    shown = sorted(names)[:5]
    return ", ".join(map(repr, shown)) + (" ..." if len(names) > 5 else "") if names else "none"
