"""Which rate the curve of a range test speaks for, and whether it can be believed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.core.artifacts import CurvePoint, Suggestion

Floats = NDArray[np.float64]

SMOOTHING_DECADES = 0.3  # standard deviation of the Gaussian over log10(lr)
CEILING = 3.0
"""Losses are clipped at so many times the first, lest one explosion hide the rest of the curve."""
MIN_POINTS = 8
MIN_DROP = 0.02  # of the initial loss; less than that is a flat curve
EDGE = 1.2
NOISY = 3.0
"""Edges of single sweeps that differ by more than this factor are noise: docs/learning-rate.md."""
EDGE_TO_PEAK = {"muon": 0.6, "sgd": 1.5, "adamw": 0.08}
"""Peak rate of a good training over the edge of the explosion; see docs/learning-rate.md."""
EXPLODING = frozenset({"muon", "sgd"})
"""Their edge does not depend on where a sweep began. AdamW's does, by a factor of ten: its steps
are as long whatever the gradient, so its loss wanders, and less the larger the weights are."""
NEAR_START = 4.0
"""An edge within two doublings of the first rate may as well lie below it: a sweep's first loss is
low at any rate."""
VALLEY_PLACE = 0.5
SLIDE_SHARE, SLIDE_SLOPE = 0.15, 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeTest:
    """What the sweeps measured: training losses in nats, each as long as its rates or shorter."""

    rates: Floats
    sweeps: tuple[Floats, ...]
    """At `rates`, until they exploded."""
    coarse_rates: Floats
    coarse: Floats
    """One sweep of the whole range, a step per doubling; none where it is not asked for."""
    min_lr: float
    """Where the whole range begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a range test found."""

    suggestion: Suggestion
    curve: tuple[CurvePoint, ...]
    """The mean of the fine sweeps, from which the edge is read."""
    reason: str
    """In words, why the status is what it is."""
    rules: dict[str, float | None]
    """The rate that each rule takes; None where it has no answer. The rules of the field look at
    the whole range: where the fine sweeps do not go over it, that is the coarse one."""
    edges: tuple[float | None, ...]
    """Where each fine sweep alone explodes; None where it does not."""
    coarse_edge: float | None
    """The same of the coarse sweep."""


def mean_curve(rates: Floats, sweeps: Sequence[Floats]) -> list[CurvePoint]:
    """Average the sweeps, each smoothed in log rate; one that has exploded stays exploded."""
    rates = rates[: max(len(losses) for losses in sweeps)]
    smooth = np.stack([_smoothed(rates, losses) for losses in sweeps])
    return [
        CurvePoint(lr=float(lr), loss=float(mean), spread=float(spread))
        for lr, mean, spread in zip(rates, smooth.mean(0), smooth.std(0), strict=True)
    ]


def judge(test: RangeTest, *, rule: str, edge_to_peak: float, default_lr: float) -> Verdict:
    """Return the peak rate for a training, rounded to two digits, and whether to believe it.

    Args:
        test: the sweeps.
        rule: one of `RULES`. `edge` is the edge of the explosion times a factor: the others, which
            look for the best improvement, move by a factor of three and more from seed to seed.
        edge_to_peak: that factor, see `EDGE_TO_PEAK`.
        default_lr: suggested when the curve has no answer.
    """
    curve = mean_curve(test.rates, test.sweeps)
    coarse = mean_curve(test.coarse_rates, [test.coarse]) if len(test.coarse) else []
    whole = coarse if test.rates[0] > test.min_lr else curve
    edge = edge_of_explosion(curve)
    edges = tuple(edge_of_explosion(mean_curve(test.rates, [losses])) for losses in test.sweeps)
    found: dict[str, float | None] = {"edge": None, **dict.fromkeys(SHAPE_RULES)}
    if len(curve) >= MIN_POINTS and edge is not None:
        found["edge"] = edge * edge_to_peak
    if len(whole) >= MIN_POINTS and _falls(whole):
        found |= {name: find(whole) for name, find in SHAPE_RULES.items()}
    answered = found[rule] is not None
    status, reason = _status(curve, edge, edges, rule=rule, answered=answered, min_lr=test.min_lr)
    chosen = found[rule]
    lr = default_lr if status != "ok" or chosen is None else float(f"{chosen:.2g}")
    return Verdict(
        suggestion=Suggestion(lr=lr, status=status),
        curve=tuple(curve),
        reason=reason,
        rules=found,
        edges=edges,
        coarse_edge=edge_of_explosion(coarse) if coarse else None,
    )


def edge_of_explosion(curve: Sequence[CurvePoint]) -> float | None:
    """Return the rate past the minimum where the loss is 20 % above it; None if it never is.

    Between two points the loss is taken to be linear in log rate.
    """
    losses = [point.loss for point in curve]
    lowest = min(losses)
    for index in range(losses.index(lowest) + 1, len(curve)):
        before, after = curve[index - 1], curve[index]
        if after.loss > EDGE * lowest:
            share = (EDGE * lowest - before.loss) / (after.loss - before.loss)
            return float(before.lr * (after.lr / before.lr) ** share)
    return None


def steepest_improvement(curve: Sequence[CurvePoint]) -> float:
    """Return the rate at which the loss falls fastest per decade of rate: the lesson's rule."""
    losses = np.array([point.loss for point in curve])
    decades = np.log10([point.lr for point in curve])
    best = max(1, int(losses.argmin()))
    return curve[int(np.gradient(losses, decades)[: best + 1].argmin())].lr


def tenth_of_minimum(curve: Sequence[CurvePoint]) -> float:
    """Return a tenth of the rate with the lowest loss (fastai's `minimum`)."""
    return min(curve, key=lambda point: point.loss).lr / 10


def valley(curve: Sequence[CurvePoint]) -> float:
    """Return the middle of the longest fall: the longest subsequence of ever lower losses."""
    losses = [point.loss for point in curve]
    length, start = [1] * len(losses), list(range(len(losses)))
    for end, loss in enumerate(losses):
        for index in range(end):
            if losses[index] > loss and length[index] + 1 > length[end]:
                length[end], start[end] = length[index] + 1, start[index]
    end = length.index(max(length))
    return curve[start[end] + int((end - start[end]) * VALLEY_PLACE)].lr


def slide(curve: Sequence[CurvePoint]) -> float:
    """Return where an interval, slid down from the top rate, first has equal slopes at its ends."""
    slopes = np.gradient([point.loss for point in curve])
    width = max(1, round(SLIDE_SHARE * len(curve)))
    for right in range(len(curve) - 1, width - 1, -1):
        if abs(slopes[right] - slopes[right - width]) <= SLIDE_SLOPE:
            return curve[right - width].lr
    return curve[0].lr


SHAPE_RULES: dict[str, Callable[[Sequence[CurvePoint]], float]] = {
    "steepest": steepest_improvement,
    "minimum": tenth_of_minimum,
    "valley": valley,
    "slide": slide,
}
RULES = ("edge", *SHAPE_RULES)


def _status(
    curve: Sequence[CurvePoint],
    edge: float | None,
    edges: Sequence[float | None],
    *,
    rule: str,
    answered: bool,
    min_lr: float,
) -> tuple[str, str]:
    """Return the verdict and its reason."""
    if len(curve) < MIN_POINTS:
        return "diverged", (
            f"the loss exploded within {len(curve)} steps, at a rate of {curve[-1].lr:.2g}: "
            "lower lr_find.min_lr"
        )
    if edge is not None and edge < NEAR_START * min_lr:
        return "diverged", (
            f"the loss rose from the start, at a rate of {edge:.2g}: lower lr_find.min_lr"
        )
    if not answered and rule == "edge":
        return "flat", (
            f"the loss never rose by {EDGE - 1:.0%} up to a rate of {curve[-1].lr:.2g}: "
            "raise lr_find.max_lr"
        )
    if not answered:
        return "flat", f"the loss fell by less than {MIN_DROP:.0%} at any rate"
    known = [edge for edge in edges if edge is not None]
    if rule == "edge" and (len(known) < len(edges) or max(known) > NOISY * min(known)):
        each = ", ".join("none" if edge is None else f"{edge:.2g}" for edge in edges)
        return "noisy", f"the sweeps explode at different rates ({each}): raise lr_find.sweeps"
    if edge is None:
        return "ok", f"the loss falls, and never rises by {EDGE - 1:.0%}"
    return "ok", "the loss rises sharply past its lowest point"


def _falls(curve: Sequence[CurvePoint]) -> bool:
    losses = [point.loss for point in curve]
    return losses[0] - min(losses) >= MIN_DROP * losses[0]


def _smoothed(rates: Floats, losses: Floats) -> Floats:
    """Convolve with a Gaussian in log10(rate), the weights renormalised at the ends."""
    start = losses[0] if np.isfinite(losses[0]) else 1.0
    padded = np.full(len(rates), np.inf)
    padded[: len(losses)] = np.where(np.isfinite(losses), losses, np.inf)
    losses = np.minimum(padded, CEILING * start)
    position = np.log10(rates)
    weights = np.exp(-0.5 * ((position[:, None] - position) / SMOOTHING_DECADES) ** 2)
    return np.asarray((weights * losses).sum(1) / weights.sum(1))
