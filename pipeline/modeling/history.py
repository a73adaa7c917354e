"""The epochs of a training: which one is kept, and what there is to say of them."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.core.artifacts import EpochRecord
from pipeline.modeling.advice import advise, overfitting_epochs


def mark_kept(history: Sequence[EpochRecord]) -> list[EpochRecord]:
    """Mark the epoch of the lowest validation loss, the last of equals, and overfitting ones."""
    lowest = min(record.valid_loss for record in history)
    kept = max(record.epoch for record in history if record.valid_loss == lowest)
    overfitting = overfitting_epochs(history)
    return [
        replace(record, kept=record.epoch == kept, overfitting=record.epoch in overfitting)
        for record in history
    ]


def in_words(record: EpochRecord) -> str:
    """Return an epoch's figures as a line of text."""
    return (
        f"train loss {record.train_loss:.4f}, valid loss {record.valid_loss:.4f}, "
        f"valid accuracy {record.valid_accuracy:.4f}"
    )


def conclusions(history: Sequence[EpochRecord], *, last_epoch: int) -> tuple[str, ...]:
    """Return sentences on a training that is done.

    Args:
        history: its epochs.
        last_epoch: the one it would have gone on to.
    """
    kept = kept_epoch(history)
    early = history[-1].epoch < last_epoch
    return (
        *([f"stopped early: no better epoch in {history[-1].epoch - kept.epoch}"] if early else []),
        f"kept epoch {kept.epoch}, the one with the lowest validation loss",
        *advise(history),
    )


def kept_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """Return the epoch whose weights are kept."""
    return next(record for record in history if record.kept)
