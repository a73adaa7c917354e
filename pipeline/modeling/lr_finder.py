"""The learning rate range test: start tiny, keep doubling, stop when the loss explodes.

Smith 2017, Cyclical Learning Rates for Training Neural Networks, section 3.3, with an exponential
ramp as in fast.ai's lesson 1.
"""

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.core.artifacts import CurvePoint, Suggestion
from pipeline.modeling.batches import Augmentation, n_batches, train_batches
from pipeline.modeling.device import Compute
from pipeline.modeling.fit import train_step
from pipeline.modeling.optimizers import build_optimizer, set_lr
from pipeline.packing.packed import PackedSplit

Floats = NDArray[np.float64]

SMOOTHING_DECADES = 0.3  # standard deviation of the Gaussian over log10(lr)
MIN_DROP = 0.02  # of the initial loss; less than that is a flat curve
MIN_POINTS = 8
EDGE = 1.1
EDGE_TO_PEAK = {"muon": 0.6, "sgd": 1.5, "adamw": 0.04}
"""Peak rate of a good training over the edge of the explosion; see docs/learning-rate.md."""


def ramp(*, min_lr: float, max_lr: float, steps_per_doubling: int) -> Floats:
    """Return the rates of one sweep: from min_lr, doubling every few steps, up to max_lr."""
    n_steps = int(steps_per_doubling * math.log2(max_lr / min_lr)) + 1
    return min_lr * 2.0 ** (np.arange(n_steps) / steps_per_doubling)


def sweep(
    model: nn.Module,
    train: PackedSplit,
    *,
    rates: Floats,
    optimizer_name: str,
    weight_decay: float,
    batch_size: int,
    size_px: int,
    augmentation: Augmentation,
    label_smoothing: float,
    stop_factor: float,
    seed: int,
    compute: Compute,
    on_step: Callable[[int], None] = lambda n_steps: None,
) -> Floats:
    """Return the training loss at each rate, in nats; shorter than `rates` if the loss exploded.

    The test trains a copy: the model and torch's random state are the same before and after.
    """
    losses: list[float] = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # for dropout
        copied = copy.deepcopy(model).train()
        optimizer = build_optimizer(
            optimizer_name, copied, lr=float(rates[0]), weight_decay=weight_decay
        )
        epochs = range(1, 2 + len(rates) // n_batches(len(train), batch_size))
        batches = (
            batch
            for epoch in epochs
            for batch in train_batches(
                train,
                batch_size=batch_size,
                size_px=size_px,
                augmentation=augmentation,
                seed=seed,
                epoch=epoch,
            )
        )
        for lr, (pixels, labels) in zip(rates, batches, strict=False):
            set_lr(optimizer, float(lr))
            loss = train_step(
                copied, optimizer, pixels, labels, label_smoothing=label_smoothing, compute=compute
            )
            losses.append(loss.item())
            on_step(1)
            if exploded(losses, stop_factor=stop_factor):
                break
    return np.array(losses)


def exploded(losses: Sequence[float], *, stop_factor: float) -> bool:
    """Tell whether the mean of the last three losses exceeds `stop_factor` times the lowest."""
    if not math.isfinite(losses[-1]):
        return True
    if len(losses) < MIN_POINTS:
        return False
    means = np.convolve(losses, np.ones(3) / 3, mode="valid")
    return bool(means[-1] > stop_factor * means.min())


def mean_curve(rates: Floats, sweeps: Sequence[Floats]) -> list[CurvePoint]:
    """Average the sweeps over their common length, each smoothed in log rate.

    A finite loss is clipped at three times the first, so that one explosion does not hide the rest.
    """
    length = min(len(losses) for losses in sweeps)
    rates = rates[:length]
    smooth = np.stack([_smoothed(rates, losses[:length]) for losses in sweeps])
    return [
        CurvePoint(lr=float(lr), loss=float(mean), spread=float(spread))
        for lr, mean, spread in zip(rates, smooth.mean(0), smooth.std(0), strict=True)
    ]


def suggest_lr(
    curve: Sequence[CurvePoint], *, edge_to_peak: float, default_lr: float
) -> Suggestion:
    """Return the peak rate for a training, rounded to two digits, from where the curve turns up.

    The steepest improvement is where the lesson takes the rate from; with small batches it moves
    by a factor of three and more from seed to seed, the edge of the explosion by 1.3.

    Args:
        curve: what `mean_curve` returned.
        edge_to_peak: factor from the edge to the peak rate of a training, see `EDGE_TO_PEAK`.
        default_lr: suggested when the curve has no answer; the status then says why.
    """
    losses = np.array([point.loss for point in curve])
    if len(curve) < MIN_POINTS or losses.argmin() == 0:
        return Suggestion(lr=default_lr, status="diverged")
    if losses[0] - losses.min() < MIN_DROP * losses[0]:
        return Suggestion(lr=default_lr, status="flat")
    edge = edge_of_explosion(curve)
    if edge is None:
        return Suggestion(lr=default_lr, status="no explosion")
    return Suggestion(lr=float(f"{edge * edge_to_peak:.2g}"), status="ok")


def edge_of_explosion(curve: Sequence[CurvePoint]) -> float | None:
    """Return the first rate past the minimum where the loss is 10 % above it; None if none is."""
    losses = [point.loss for point in curve]
    lowest = min(losses)
    past = curve[losses.index(lowest) :]
    return next((point.lr for point in past if point.loss > EDGE * lowest), None)


def steepest_improvement(curve: Sequence[CurvePoint]) -> float:
    """Return the rate at which the loss falls fastest per decade of rate."""
    losses = np.array([point.loss for point in curve])
    rates = np.log10([point.lr for point in curve])
    best = max(1, int(losses.argmin()))
    return curve[int(np.gradient(losses, rates)[: best + 1].argmin())].lr


def _smoothed(rates: Floats, losses: Floats) -> Floats:
    """Convolve with a Gaussian in log10(rate), the weights renormalised at the ends."""
    ceiling = 3 * losses[0]
    losses = np.minimum(np.where(np.isfinite(losses), losses, ceiling), ceiling)
    position = np.log10(rates)
    weights = np.exp(-0.5 * ((position[:, None] - position) / SMOOTHING_DECADES) ** 2)
    return np.asarray((weights * losses).sum(1) / weights.sum(1))
