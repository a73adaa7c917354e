"""What the curves say, in the words of the lesson."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from pipeline.core.artifacts import EpochRecord, Suggestion

NOISE = 0.01  # a loss that rises by less than 1 % has not risen

STATUS_WORDS = {
    "ok": "The loss falls, then explodes. The suggested rate is as high as a whole training "
    "endures, taken from where the explosion begins.",
    "flat": "The loss hardly moved at any rate, so the curve has no answer; the suggested rate is "
    "the optimizer's default.",
    "diverged": "The loss rose from the start, so the curve has no answer; the suggested rate is "
    "the optimizer's default. Start the sweep at a lower rate.",
    "no explosion": "The loss never exploded, so the curve has no edge to measure from; the "
    "suggested rate is the optimizer's default. Let the sweep end at a higher rate.",
}


def describe_suggestion(suggestion: Suggestion) -> str:
    """Return one or two sentences on how the suggested rate came about."""
    return STATUS_WORDS.get(suggestion.status, f"The range test ended with: {suggestion.status}.")


def overfitting_epochs(history: Sequence[EpochRecord]) -> tuple[int, ...]:
    """Return the epochs in which validation got worse while training improved."""
    return tuple(
        after.epoch
        for before, after in pairwise(history)
        if after.train_loss < before.train_loss and _rose(before.valid_loss, after.valid_loss)
    )


def rising_epochs(history: Sequence[EpochRecord]) -> tuple[int, ...]:
    """Return the epochs in which the training loss rose; a change of image size does not count."""
    return tuple(
        after.epoch
        for before, after in pairwise(history)
        if before.size_px == after.size_px and _rose(before.train_loss, after.train_loss)
    )


def advise(history: Sequence[EpochRecord]) -> tuple[str, ...]:
    """Return plain sentences on what went wrong in a training and what to try; never empty."""
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
    if len(history) > 1 and history[-1].kept and not epochs:
        advice.append("The last epoch was the best one: training for longer may still help.")
    return tuple(advice) or ("Nothing in these curves calls for a change.",)


def _rose(before: float, after: float) -> bool:
    return not after <= before * (1 + NOISE)  # a loss that is not a number has risen


def _listed(epochs: Iterable[int]) -> str:
    numbers = [str(epoch) for epoch in epochs]
    return f"epoch{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
