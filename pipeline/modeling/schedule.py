"""The learning rate and the image size of every step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

START_DIVISOR = 25.0  # one_cycle starts at peak / 25 and ends 1e4 times lower, as torch's does
END_DIVISOR = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The rate of each step.

    The shapes are

    - `linear`: a linear climb to the peak, then a linear fall to zero (Smith 2018, section 5);
    - `one_cycle`: half a cosine up from peak / 25, half a cosine down to nearly zero, as torch's
      `OneCycleLR` and fastai's `fit_one_cycle`;
    - `cosine`: a linear climb, then half a cosine down to zero (Loshchilov & Hutter 2017);
    - `sgdr`: half cosines from the peak to zero, each `cycle_factor` times as long as the one
      before (the same paper, equation 5); no climb.
    """

    peak_lr: float
    n_steps: int
    warmup_fraction: float
    shape: str = "linear"
    cycle_steps: int = 1
    """Steps of the first cycle of `sgdr`."""
    cycle_factor: int = 1

    def lr(self, step: int) -> float:
        """Return the rate of step 0 .. n_steps - 1; never zero, except where one_cycle ends."""
        if self.shape == "one_cycle":
            return self._one_cycle(step)
        if self.shape == "sgdr":
            return self.peak_lr * _half_cosine(self._share_of_cycle(step))
        warmup = self.warmup_fraction * self.n_steps
        if step + 1 < warmup:
            return self.peak_lr * (step + 1) / warmup
        start = max(warmup - 1, 0)
        if self.shape == "cosine":
            return self.peak_lr * _half_cosine((step - start) / (self.n_steps - start))
        return self.peak_lr * (self.n_steps - step) / (self.n_steps - start)

    def begins_anew(self, step: int) -> bool:
        """Tell whether a cycle begins with this step, as the phase does with step 0."""
        return step == 0 or (self.shape == "sgdr" and self._share_of_cycle(step) == 0)

    def _one_cycle(self, step: int) -> float:
        low = self.peak_lr / START_DIVISOR
        top = self.warmup_fraction * self.n_steps - 1
        if step <= top:
            share = 1 - step / top if top else 0.0
            return low + (self.peak_lr - low) * _half_cosine(share)
        end = low / END_DIVISOR
        share = (step - top) / (self.n_steps - 1 - top) if self.n_steps - 1 > top else 0.0
        return end + (self.peak_lr - end) * _half_cosine(share)

    def _share_of_cycle(self, step: int) -> float:
        length = self.cycle_steps
        while step >= length:
            step -= length
            length *= self.cycle_factor
        return step / length


def size_of_epoch(sizes_px: Sequence[int], *, epoch: int, n_epochs: int) -> int:
    """Return the crop size of epoch 1 .. n_epochs: the sizes in turn, equally long."""
    return sizes_px[(epoch - 1) * len(sizes_px) // n_epochs]


def _half_cosine(share: float) -> float:
    """Return the fall from 1 to 0 as `share` goes from 0 to 1."""
    return (1 + math.cos(math.pi * share)) / 2
