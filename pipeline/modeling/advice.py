"""What the losses of a training say, in the words of the lesson."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from pipeline.core.artifacts import EpochRecord

NOISE = 0.05  # a loss that rises by less than 5 % has not risen: epochs differ by chance


def overfitting_epochs(history: Sequence[EpochRecord]) -> tuple[int, ...]:
    """Return the epochs after the best where validation got worse while training improved."""
    best = min(range(len(history)), key=lambda i: history[i].valid_loss)
    return tuple(
        record.epoch
        for record in history[best + 1 :]
        if record.train_loss < history[best].train_loss
        and _rose(history[best].valid_loss, record.valid_loss)
    )


def rising_epochs(history: Sequence[EpochRecord]) -> tuple[int, ...]:
    """Return the epochs in which the training loss rose.

    Not where that is to be expected: where the size of the images changed or the schedule began
    anew.
    """
    return tuple(
        after.epoch
        for before, after in pairwise(history)
        if before.size_px == after.size_px
        and not after.restart
        and _rose(before.train_loss, after.train_loss)
    )


def climbed(history: Sequence[EpochRecord], *, chance: float) -> bool:
    """Tell whether the last epoch lost what was learned.

    Its training loss is worse than guessing and twice the lowest of the epochs before. A rate that
    rises again on purpose, as at a restart, costs less than that.

    Args:
        history: the epochs so far.
        chance: cross-entropy of guessing, ln K.
    """
    *before, last = (record.train_loss for record in history)
    return bool(before) and last > chance and last > 2 * min(before)


def advise(history: Sequence[EpochRecord]) -> tuple[str, ...]:
    """Return plain sentences on what went wrong in a training and what to try; never empty."""
    if len(history) < 2:
        return ("One epoch makes no curve: train for longer.",)
    advice = []
    if epochs := rising_epochs(history):
        advice.append(
            f"The training loss rose in {_listed(epochs)}: the learning rate is likely too high. "
            "Try a third of it."
        )
    if epochs := overfitting_epochs(history):
        advice.append(
            f"In {_listed(epochs)} validation got worse while training improved: there the network "
            "learned its pictures by heart (overfitting). If that goes on, stop earlier or get "
            "more pictures."
        )
    if history[-1].kept and not epochs:
        advice.append("The last epoch was the best one: training for longer may still help.")
    return tuple(advice) or ("Nothing in these curves calls for a change.",)


def _rose(before: float, after: float) -> bool:
    return not after <= before * (1 + NOISE)  # a loss that is not a number has risen


def _listed(epochs: Iterable[int]) -> str:
    numbers = [str(epoch) for epoch in epochs]
    return f"epoch{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
