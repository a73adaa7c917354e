"""The learning rate range test: start tiny, keep doubling, stop when the loss explodes.

Smith 2017, Cyclical Learning Rates for Training Neural Networks, section 3.3, with an exponential
ramp as in fast.ai's lesson 1. What its curves say is for `lr_rules`.

Most of a sweep's steps are at rates far too small to matter. So one sweep goes over the whole range
and doubles the rate at every step; those that are measured finely begin shortly below the rate at
which that one exploded.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import ParamsError
from pipeline.modeling.batches import Augmentation, train_batches
from pipeline.modeling.device import Compute
from pipeline.modeling.layers import frozen, still_layers, train_mode
from pipeline.modeling.lr_rules import (
    MIN_POINTS,
    NEAR_START,
    RangeTest,
    edge_of_explosion,
    mean_curve,
)
from pipeline.modeling.optimizers import set_lr
from pipeline.modeling.recipe import build_layered_optimizer
from pipeline.modeling.step import train_step
from pipeline.modeling.zoo import Classifier
from pipeline.packing.packed import PackedSplit

Floats = NDArray[np.float64]

BELOW_EDGE = 2 * NEAR_START
"""Fine sweeps begin three doublings below the edge of the coarse one, or more if those are too few
points for a curve. One doubling more than too late, so that each new beginning lies lower."""


def range_test(
    run_sweep: Callable[[int, Floats], Floats],
    *,
    min_lr: float,
    max_lr: float,
    steps_per_doubling: int,
    n_sweeps: int,
    near_edge: bool,
) -> RangeTest:
    """Sweep the range coarsely, then several times finely.

    Args:
        run_sweep: takes a number and the rates, and returns the loss at each until it exploded;
            0 is the coarse sweep, 1 to n_sweeps are the fine ones.
        min_lr: where the coarse sweep begins.
        max_lr: where every sweep ends.
        steps_per_doubling: of the fine sweeps.
        n_sweeps: how many fine ones.
        near_edge: begin the fine ones near the edge of the coarse one, and anew near their own
            where that does not lie well behind their beginning. Without an edge they go over the
            whole range. False does so in any case, without a coarse sweep.

    Raises:
        ParamsError: the range has too few rates for a curve.
    """
    n_rates = len(ramp(min_lr=min_lr, max_lr=max_lr, steps_per_doubling=steps_per_doubling))
    if n_rates < MIN_POINTS:
        raise ParamsError(
            f"lr_find: found {n_rates} rates from min_lr {min_lr:g} to max_lr {max_lr:g}, allowed: "
            f"at least {MIN_POINTS}; widen the range or raise steps_per_doubling"
        )

    def swept_from(start: float) -> RangeTest:
        rates = ramp(min_lr=start, max_lr=max_lr, steps_per_doubling=steps_per_doubling)
        return RangeTest(
            rates=rates,
            sweeps=tuple(run_sweep(number, rates) for number in range(1, n_sweeps + 1)),
            coarse_rates=coarse_rates,
            coarse=coarse,
            min_lr=min_lr,
        )

    def start_below(edge: float | None) -> float:
        doublings = max(math.log2(BELOW_EDGE), MIN_POINTS / steps_per_doubling)
        return min_lr if edge is None else max(min_lr, edge / 2**doublings)

    coarse_rates, coarse, start = np.empty(0), np.empty(0), min_lr
    if near_edge:
        coarse_rates = ramp(min_lr=min_lr, max_lr=max_lr, steps_per_doubling=1)
        coarse = run_sweep(0, coarse_rates)
        start = start_below(edge_of_explosion(mean_curve(coarse_rates, [coarse])))
    while True:
        test = swept_from(start)
        edge = edge_of_explosion(mean_curve(test.rates, test.sweeps))
        if start == min_lr or (edge is not None and edge >= NEAR_START * start):
            return test
        start = start_below(edge)


def ramp(*, min_lr: float, max_lr: float, steps_per_doubling: int) -> Floats:
    """Return the rates of one sweep: from min_lr, doubling every few steps, up to max_lr."""
    n_steps = int(steps_per_doubling * math.log2(max_lr / min_lr)) + 1
    return min_lr * 2.0 ** (np.arange(n_steps) / steps_per_doubling)


def sweep(
    model: Classifier,
    train: PackedSplit,
    *,
    rates: Floats,
    optimizer_name: str,
    weight_decay: float,
    batch_size: int,
    parts: int = 1,
    size_px: int,
    augmentation: Augmentation,
    label_smoothing: float,
    stop_factor: float,
    seed: int,
    compute: Compute,
    head_alone: bool = False,
    lr_factors: Sequence[float] = (1.0,),
    n_classes: int | None = None,
    on_step: Callable[[int], None] = lambda n_steps: None,
) -> Floats:
    """Return the training loss at each rate, in nats; shorter than `rates` if the loss exploded.

    The test trains a copy: the model and torch's random state are the same before and after.

    Args:
        model: the network, on the device.
        train: images; a small set is gone through again and again, in another order each time.
        rates: one for each step.
        optimizer_name: `muon`, `sgd` or `adamw`.
        weight_decay: of all parameters.
        batch_size: as in the training.
        parts: in which a batch goes through the network, as in the training.
        size_px: side of the crops.
        augmentation: as in the training.
        label_smoothing: as in the training.
        stop_factor: the sweep ends when its loss exceeds this multiple of the lowest.
        seed: of order, augmentation and dropout.
        compute: where.
        head_alone: the body is frozen, as in the first phase of a fine-tuning.
        lr_factors: of the layer groups; the curve's rate is that of a group with factor 1.
        n_classes: K, where images are mixed.
        on_step: called with 1 after each step.
    """
    losses: list[float] = []
    batches = _endless(
        train,
        batch_size=batch_size,
        size_px=size_px,
        augmentation=augmentation,
        seed=seed,
        n_classes=n_classes,
    )
    with torch.random.fork_rng(devices=[compute.device] if compute.device.type == "cuda" else []):
        torch.manual_seed(seed)  # for dropout
        copied = copy.deepcopy(model)
        with frozen(still_layers(copied, lr_factors=lr_factors, head_alone=head_alone)):
            train_mode(copied)
            optimizer = build_layered_optimizer(
                optimizer_name,
                copied,
                lr=float(rates[0]),
                weight_decay=weight_decay,
                lr_factors=lr_factors,
                head_alone=head_alone,
                bf16=compute.bf16,
            )
            for lr, (pixels, targets) in zip(rates, batches, strict=False):
                set_lr(optimizer, float(lr))
                loss = train_step(
                    copied,
                    optimizer,
                    pixels,
                    targets,
                    label_smoothing=label_smoothing,
                    compute=compute,
                    parts=parts,
                )
                losses.append(loss.item())
                on_step(1)
                if exploded(losses, stop_factor=stop_factor):
                    break
    return np.array(losses)


def exploded(losses: Sequence[float], *, stop_factor: float) -> bool:
    """Tell whether the mean of the last three losses exceeds `stop_factor` times the lowest.

    And the first: where the loss fell to a tenth, a multiple of that is still noise.
    """
    if not math.isfinite(losses[-1]):
        return True
    if len(losses) < MIN_POINTS:
        return False
    means = np.convolve(losses, np.ones(3) / 3, mode="valid")
    return bool(means[-1] > max(stop_factor * means.min(), means[0]))


def _endless(
    train: PackedSplit,
    *,
    batch_size: int,
    size_px: int,
    augmentation: Augmentation,
    seed: int,
    n_classes: int | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    for epoch in count(1):
        yield from train_batches(
            train,
            batch_size=batch_size,
            size_px=size_px,
            augmentation=augmentation,
            seed=seed,
            epoch=epoch,
            n_classes=n_classes,
        )
