"""The learning rate and the image size of every step."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One-cycle: a linear climb to the peak, then a linear fall to zero (Smith 2018, section 5)."""

    peak_lr: float
    n_steps: int
    warmup_fraction: float

    def lr(self, step: int) -> float:
        """Return the rate of step 0 .. n_steps - 1; the step after the last would have zero."""
        warmup = self.warmup_fraction * self.n_steps
        if step + 1 < warmup:
            return self.peak_lr * (step + 1) / warmup
        return self.peak_lr * (self.n_steps - step) / (self.n_steps - max(warmup - 1, 0))


def size_of_epoch(sizes_px: Sequence[int], *, epoch: int, n_epochs: int) -> int:
    """Return the crop size of epoch 1 .. n_epochs: the sizes in turn, equally long."""
    return sizes_px[(epoch - 1) * len(sizes_px) // n_epochs]
