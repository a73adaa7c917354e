"""The charts of the range test and of the training."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from pipeline.analysis.charts import (
    Chart,
    Line,
    Mark,
    Scale,
    Tick,
    Zone,
    decade_ticks,
    line,
    linear,
    logarithmic,
    nice_range,
    path,
    spread_labels,
    ticks,
    upward,
)
from pipeline.analysis.findings import kept_epoch, overfit_from
from pipeline.core.artifacts import CurvePoint, EpochRecord, Suggestion

MAX_EPOCH_TICKS = 13
Series = Sequence[tuple[str, str, Sequence[float]]]


def lr_chart(curve: Sequence[CurvePoint], suggestion: Suggestion) -> Chart | None:
    """Return loss against learning rate, the suggestion marked; None for an empty curve."""
    if not curve:
        return None
    rates = [*(point.lr for point in curve), suggestion.lr]
    x = logarithmic(min(rates), max(rates))
    upper = [(point.lr, point.loss + point.spread) for point in curve]
    lower = [(point.lr, point.loss - point.spread) for point in curve]
    low, high = nice_range([value for _, value in upper + lower], floor=0.0)
    y = upward(linear(low, high))
    best = min(curve, key=lambda point: point.loss)
    loss = [(point.lr, point.loss) for point in curve]
    return Chart(
        title="Loss at each learning rate",
        description=f"Loss against learning rate from {curve[0].lr:.2g} to {curve[-1].lr:.2g}: it "
        f"starts at {curve[0].loss:.3f}, is lowest, {best.loss:.3f}, at {best.lr:.2g}, and ends at "
        f"{curve[-1].loss:.3f}. The suggested rate is {suggestion.lr:g}.",
        x_label="learning rate, each step a little larger than the last",
        x_ticks=tuple(decade_ticks(min(rates), max(rates), x)),
        y_ticks=tuple(ticks(low, high, y, text="{:g}".format)),
        lines=(line("", "valid", loss, x=x, y=y, dotted=False),),
        band=path([(x(a), y(max(b, low))) for a, b in [*upper, *reversed(lower)]]) + "Z",
        marks=(Mark(x=x(suggestion.lr), text=f"suggested: {suggestion.lr:g}", kind="pick"),),
    )


def training_charts(history: Sequence[EpochRecord]) -> list[Chart]:
    """Return loss, accuracy and learning rate per epoch; nothing for an empty history."""
    if not history:
        return []
    return [_loss_chart(history), _accuracy_chart(history), _rate_chart(history)]


def _loss_chart(history: Sequence[EpochRecord]) -> Chart:
    train = [record.train_loss for record in history]
    valid = [record.valid_loss for record in history]
    return _epoch_chart(
        history,
        (("train", "train", train), ("valid", "valid", valid)),
        title="Loss",
        unit="nats",
        text="{:g}".format,
        remarks=True,
    )


def _accuracy_chart(history: Sequence[EpochRecord]) -> Chart:
    accuracy = [record.valid_accuracy for record in history]
    return _epoch_chart(
        history,
        (("valid", "valid", accuracy),),
        title="Accuracy on the validation images",
        unit="",
        text=lambda value: f"{100 * value:g} %",
    )


def _rate_chart(history: Sequence[EpochRecord]) -> Chart:
    return _epoch_chart(
        history,
        (("", "train", [record.lr for record in history]),),
        title="Learning rate at the end of each epoch",
        unit="",
        text="{:g}".format,
    )


def _epoch_chart(
    history: Sequence[EpochRecord],
    series: Series,
    *,
    title: str,
    unit: str,
    text: Callable[[float], str],
    remarks: bool = False,
) -> Chart:
    epochs = [record.epoch for record in history]
    x = linear(epochs[0], epochs[-1])
    low, high = nice_range([value for _, _, values in series for value in values], floor=0.0)
    y = upward(linear(low, high))
    lines: list[Line] = [
        line(name, kind, list(zip(epochs, values, strict=True)), x=x, y=y)
        for name, kind, values in series
    ]
    return Chart(
        title=f"{title}, {unit}" if unit else title,
        description=f"{title} over {len(epochs)} epochs. "
        + " ".join(_in_words(name, values, text) for name, _, values in series),
        x_label="epoch",
        x_ticks=tuple(_epoch_ticks(epochs, x)),
        y_ticks=tuple(ticks(low, high, y, text=text)),
        lines=spread_labels(lines),
        marks=_kept_mark(history, x) if remarks else (),
        zones=_overfit_zone(history, x) if remarks else (),
    )


def _in_words(name: str, values: Sequence[float], text: Callable[[float], str]) -> str:
    falls = sum(b < a for a, b in pairwise(values))
    first, last = (text(float(f"{value:.3g}")) for value in (values[0], values[-1]))
    return f"{name.capitalize() or 'It'}: from {first} to {last}, {falls} falls.".strip()


def _epoch_ticks(epochs: Sequence[int], x: Scale) -> list[Tick]:
    stride = -(-len(epochs) // MAX_EPOCH_TICKS)
    return [Tick(at=x(epoch), text=str(epoch)) for epoch in epochs[::stride]]


def _kept_mark(history: Sequence[EpochRecord], x: Scale) -> tuple[Mark, ...]:
    kept = kept_epoch(history)
    return () if kept is None else (Mark(x=x(kept.epoch), text=f"kept: epoch {kept.epoch}"),)


def _overfit_zone(history: Sequence[EpochRecord], x: Scale) -> tuple[Zone, ...]:
    start = overfit_from(history)
    if start is None:
        return ()
    left = x(start.epoch)
    return (Zone(x=left, width=100 - left, text="validation worse, training better"),)
