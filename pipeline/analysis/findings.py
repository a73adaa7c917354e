"""What the range test and the training came to, in words."""

from collections.abc import Sequence
from itertools import pairwise

from pipeline.core.artifacts import EpochRecord, Suggestion

CLIMB = 1.05  # a rise of 5 % is more than the noise from epoch to epoch

VERDICTS = {
    "ok": "The loss falls, reaches a lowest point and then explodes: the shape that one hopes for. "
    "The suggestion stays well away from the explosion.",
    "flat": "The loss never fell clearly, whatever the rate, so the curve gives no answer and the "
    "optimizer's usual rate is suggested. Look at the labels, or at a frozen network.",
    "diverged": "The loss rose from the first steps, so the curve gives no answer and the "
    "optimizer's usual rate is suggested. Start the test lower: lr_find.min_lr.",
    "no explosion": "The loss was still low at the highest rate, so the edge of the explosion is "
    "not on the curve and the optimizer's usual rate is suggested. Go higher: lr_find.max_lr.",
}


def lr_verdict(suggestion: Suggestion) -> str:
    """Return what the range test's curve says, in a sentence or two."""
    return VERDICTS.get(suggestion.status, f"The range test ended with: {suggestion.status}.")


def kept_epoch(history: Sequence[EpochRecord]) -> EpochRecord | None:
    """Return the epoch whose weights became the model; None if none is marked."""
    return next((record for record in history if record.kept), None)


def overfit_from(history: Sequence[EpochRecord]) -> EpochRecord | None:
    """Return the epoch from which validation got worse while training improved.

    That is the epoch of the lowest valid loss, if the last epoch's valid loss is clearly higher and
    its train loss lower; None otherwise.
    """
    if not history:
        return None
    best = min(history, key=lambda record: record.valid_loss)
    last = history[-1]
    worse = last.valid_loss > CLIMB * best.valid_loss
    return best if worse and last.train_loss < best.train_loss else None


def advice(history: Sequence[EpochRecord]) -> list[str]:
    """Return what the losses suggest doing, one remark a finding."""
    found = []
    rises = [b.epoch for a, b in pairwise(history) if b.train_loss > CLIMB * a.train_loss]
    if rises:
        found.append(
            f"The training loss rose in {_epochs(rises)}: the learning rate is likely too high. "
            "Lower train.lr and run again."
        )
    if (start := overfit_from(history)) is not None:
        found.append(
            f"After epoch {start.epoch} validation got worse while training still improved: the "
            "network began to learn the training images by heart. Fewer epochs, more images or "
            "stronger augmentation help."
        )
    if not found:
        found.append("Nothing to mend: both losses came down and stayed down.")
        if len(history) > 1 and history[-1].kept:
            found.append(
                "The last epoch was the best, so a longer training may gain a little more."
            )
    return found


def _epochs(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (" and later" if len(numbers) > 5 else "")
    return f"epoch {shown}" if len(numbers) == 1 else f"epochs {shown}"
