"""The geometry of the page's line charts; the template draws it as SVG in the theme's colours."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.core.artifacts import CurvePoint, EpochRecord, SweepPoint

WIDTH, HEIGHT = 480, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 466, 26, 236
MAX_X_TICKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A map from values to pixels, linear or logarithmic."""

    low: float
    high: float
    start_px: float
    end_px: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the position of a value, rounded to a tenth of a pixel."""
        share = (value - self.low) / (self.high - self.low)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start_px + share * (self.end_px - self.start_px), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A position on an axis and its text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A marked value of a line; the text is its tooltip."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve; `style` is a class of the style sheet."""

    name: str
    style: str
    points: str
    dots: tuple[Dot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A vertical mark with a word."""

    x: float
    text: str
    low: bool = False
    """The word stands at the foot, out of the way of a rising curve."""

    @property
    def anchor(self) -> str:
        """Which end of the text touches the mark, so that it stays inside."""
        return "end" if self.x > (LEFT + RIGHT) / 2 else "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything that the template needs to draw one chart."""

    title: str
    summary: str
    """What the chart shows, for those who cannot see it."""
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    flag: Flag | None = None
    band: str = ""
    shades: tuple[tuple[float, float], ...] = ()
    """(x, width) of the shaded stretches."""


def lr_chart(
    curve: Sequence[CurvePoint], *, suggested: float, sweeps: Sequence[SweepPoint] = ()
) -> Chart | None:
    """Return the range test's chart: loss over log rate; None with fewer than two finite points.

    The single sweeps, the coarse one too, are drawn as they were measured, step by step; what
    leaves the chart of the smoothed mean at its top or bottom stays there.
    """
    points = [p for p in curve if math.isfinite(p.loss) and math.isfinite(p.spread) and p.lr > 0]
    if len(points) < 2:
        return None
    rates = [suggested, *(p.lr for p in points), *(p.lr for p in sweeps if p.lr > 0)]
    low, high = min(rates), max(rates)
    x = Axis(low=low, high=high, start_px=LEFT, end_px=RIGHT, log=True)
    y = y_axis([p.loss + s * p.spread for p in points for s in (-1, 1)])
    best = min(points, key=lambda p: p.loss)
    above = [(x.at(p.lr), y.at(p.loss + p.spread)) for p in points]
    below = [(x.at(p.lr), y.at(p.loss - p.spread)) for p in reversed(points)]
    return Chart(
        title="Learning rate range test",
        summary=f"Loss from {points[0].loss:.3g} at rate {points[0].lr:.2g}, lowest "
        f"{best.loss:.3g} at {best.lr:.2g}, {points[-1].loss:.3g} at {points[-1].lr:.2g}; "
        f"suggested rate {suggested:g}.",
        x_label="learning rate (log scale)",
        y_label="loss, nats",
        x_ticks=_decades(x),
        y_ticks=ticks(y),
        lines=(
            *_sweep_lines(sweeps, x, y),
            Line(
                name="mean loss",
                style="main",
                points=polyline([(x.at(p.lr), y.at(p.loss)) for p in points]),
            ),
        ),
        flag=Flag(x=x.at(suggested), text=f"suggested {suggested:g}"),
        band=polyline(above + below),
    )


def _sweep_lines(sweeps: Sequence[SweepPoint], x: Axis, y: Axis) -> list[Line]:
    """Return a faint line for each sweep; only the first has a name for the legend."""
    lines: list[Line] = []
    for number in sorted({point.sweep for point in sweeps}):
        points = [
            (x.at(p.lr), y.at(min(max(p.loss, y.low), y.high)))
            for p in sweeps
            if p.sweep == number and math.isfinite(p.loss) and p.lr > 0
        ]
        name = "" if lines else "each sweep, step by step"
        lines.append(Line(name=name, style="faint", points=polyline(points)))
    return lines


def loss_chart(history: Sequence[EpochRecord], *, shaded: Collection[int]) -> Chart:
    """Return training and validation loss per epoch, the `shaded` epochs marked."""
    x = _epochs(history)
    y = y_axis([v for r in history for v in (r.train_loss, r.valid_loss) if math.isfinite(v)])
    train = [(r.epoch, r.train_loss) for r in history]
    valid = [(r.epoch, r.valid_loss) for r in history]
    return Chart(
        title="Loss per epoch",
        summary=f"Training loss from {train[0][1]:.3g} to {train[-1][1]:.3g}, validation loss from "
        f"{valid[0][1]:.3g} to {valid[-1][1]:.3g} nats over {len(history)} epochs.",
        x_label="epoch",
        y_label="loss, nats",
        x_ticks=_epoch_ticks(history, x),
        y_ticks=ticks(y),
        lines=(
            _line("training", "second", train, x=x, y=y, unit="{:.4f}"),
            _line("validation", "main", valid, x=x, y=y, unit="{:.4f}"),
        ),
        flag=_kept(history, x),
        shades=_stretches(shaded, x),
    )


def accuracy_chart(history: Sequence[EpochRecord]) -> Chart:
    """Return validation accuracy per epoch, in percent."""
    x = _epochs(history)
    values = [(r.epoch, 100 * r.valid_accuracy) for r in history]
    y = y_axis([v for _, v in values if math.isfinite(v)], ceiling=100)
    return Chart(
        title="Validation accuracy per epoch",
        summary=f"From {values[0][1]:.1f} % to {values[-1][1]:.1f} % over {len(history)} epochs.",
        x_label="epoch",
        y_label="accuracy, %",
        x_ticks=_epoch_ticks(history, x),
        y_ticks=ticks(y),
        lines=(_line("validation", "main", values, x=x, y=y, unit="{:.2f} %"),),
        flag=_kept(history, x, low=True),
    )


def rate_chart(history: Sequence[EpochRecord]) -> Chart:
    """Return the learning rate at the end of each epoch."""
    x = _epochs(history)
    values = [(r.epoch, r.lr) for r in history]
    y = y_axis([0.0, *(v for _, v in values if math.isfinite(v))])
    return Chart(
        title="Learning rate per epoch",
        summary=f"{values[0][1]:.3g} at the end of epoch {values[0][0]}, highest "
        f"{max(v for _, v in values):.3g}, {values[-1][1]:.3g} at the end of the last.",
        x_label="epoch",
        y_label="learning rate at its end",
        x_ticks=_epoch_ticks(history, x),
        y_ticks=ticks(y),
        lines=(_line("learning rate", "main", values, x=x, y=y, unit="{:.3g}"),),
        flag=_kept(history, x),
    )


def nice_ticks(low: float, high: float, *, about: int = 6) -> list[float]:
    """Return round numbers in [low, high], a step of 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def y_axis(values: Sequence[float], *, ceiling: float = math.inf) -> Axis:
    """Return an axis that holds the values with a margin; it ends at `ceiling` if they do."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(low=low - margin, high=min(high + margin, max(ceiling, high + 1e-6)),
                start_px=BOTTOM, end_px=TOP)  # fmt: skip


def _epochs(history: Sequence[EpochRecord]) -> Axis:
    first, last = history[0].epoch, history[-1].epoch
    margin = 0.5 if first == last else 0.0
    return Axis(low=first - margin, high=last + margin, start_px=LEFT + 8, end_px=RIGHT - 8)


def ticks(axis: Axis) -> tuple[Tick, ...]:
    """Return round numbers along a linear axis."""
    return tuple(Tick(at=axis.at(v), text=f"{v:g}") for v in nice_ticks(axis.low, axis.high))


def _decades(axis: Axis) -> tuple[Tick, ...]:
    first, last = math.ceil(math.log10(axis.low) - 1e-9), math.floor(math.log10(axis.high) + 1e-9)
    values = [10.0**k for k in range(first, last + 1)] or [axis.low, axis.high]
    return tuple(Tick(at=axis.at(v), text=f"{v:g}") for v in values)


def _epoch_ticks(history: Sequence[EpochRecord], axis: Axis) -> tuple[Tick, ...]:
    step = math.ceil(len(history) / MAX_X_TICKS)
    return tuple(Tick(at=axis.at(r.epoch), text=str(r.epoch)) for r in history[::step])


def _line(
    name: str, style: str, values: Sequence[tuple[int, float]], *, x: Axis, y: Axis, unit: str
) -> Line:
    dots = tuple(
        Dot(x=x.at(epoch), y=y.at(value), text=f"{name}, epoch {epoch}: {unit.format(value)}")
        for epoch, value in values
        if math.isfinite(value)
    )
    return Line(name=name, style=style, points=polyline([(d.x, d.y) for d in dots]), dots=dots)


def _kept(history: Sequence[EpochRecord], axis: Axis, *, low: bool = False) -> Flag | None:
    kept = [r.epoch for r in history if r.kept]
    return Flag(x=axis.at(kept[-1]), text=f"kept: epoch {kept[-1]}", low=low) if kept else None


def _stretches(epochs: Collection[int], x: Axis) -> tuple[tuple[float, float], ...]:
    """Return (x, width) of half an epoch around each epoch, neighbours joined."""
    joined: list[list[float]] = []
    for epoch in sorted(epochs):
        if joined and joined[-1][1] == epoch - 0.5:
            joined[-1][1] = epoch + 0.5
        else:
            joined.append([epoch - 0.5, epoch + 0.5])
    edges = [(max(LEFT, x.at(a)), min(RIGHT, x.at(b))) for a, b in joined]
    return tuple((left, round(right - left, 1)) for left, right in edges)


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """Return the `points` attribute of SVG."""
    return " ".join(f"{x},{y}" for x, y in points)
