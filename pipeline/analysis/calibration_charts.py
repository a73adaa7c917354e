"""The geometry of the two charts on how far the network's probabilities can be trusted."""

from collections.abc import Sequence

from pipeline.analysis.charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Axis,
    Chart,
    Dot,
    Flag,
    Line,
    polyline,
    ticks,
    y_axis,
)
from pipeline.core.artifacts import ReliabilityBin, RiskPoint

STYLES = {"before": "second", "after": "main"}
NAMES = {"before": "before calibration", "after": "after calibration"}


def reliability_chart(bins: Sequence[ReliabilityBin]) -> Chart | None:
    """Return accuracy over confidence before and after calibration; None without a bin."""
    if not bins:
        return None
    low = min(0.95, *(b.confidence for b in bins), *(b.accuracy for b in bins))
    x = Axis(low=low, high=1, start_px=LEFT + 8, end_px=RIGHT - 8)
    y = Axis(low=low - 0.04 * (1 - low), high=1 + 0.04 * (1 - low), start_px=BOTTOM, end_px=TOP)
    ideal = Line(
        name="probabilities that mean what they say",
        style="ideal",
        points=polyline([(x.at(low), y.at(low)), (x.at(1), y.at(1))]),
    )
    return Chart(
        title="Reliability on the test images",
        summary="Share of right answers over the mean probability of the predicted class, in bins: "
        + "; ".join(
            f"{NAMES[version]} "
            + ", ".join(f"{b.accuracy:.2f} at {b.confidence:.2f}" for b in rows)
            for version, rows in _versions(bins)
        )
        + ".",
        x_label="mean probability of the predicted class",
        y_label="share that is right",
        x_ticks=ticks(x),
        y_ticks=tuple(tick for tick in ticks(y) if TOP <= tick.at <= BOTTOM),
        lines=(ideal, *(_curve(version, rows, x=x, y=y) for version, rows in _versions(bins))),
    )


def risk_chart(points: Sequence[RiskPoint], *, threshold: float | None) -> Chart | None:
    """Return the share of wrong answers over the share of images answered; None without a point.

    Args:
        points: of the test split.
        threshold: answers less probable are unsure; marked where the curve passes it.
    """
    if not points:
        return None
    rows = sorted(points, key=lambda p: p.coverage)
    x = Axis(low=0, high=100, start_px=LEFT + 8, end_px=RIGHT - 8)
    y = y_axis([0.0, *(100 * p.risk for p in rows)])
    answered = [p for p in rows if threshold is not None and p.threshold >= threshold]
    flag = None
    if answered:
        last = answered[-1]
        flag = Flag(x=x.at(100 * last.coverage), text=f"threshold {threshold:.4g}")
    return Chart(
        title="Risk and coverage on the test images",
        summary=f"Answering everything, {100 * rows[-1].risk:.2f} % of the answers are wrong; "
        + "; ".join(
            f"answering the surest {share} %, {100 * _at(rows, share / 100).risk:.2f} %"
            for share in (95, 90, 50)
        )
        + ".",
        x_label="share of the images that get an answer, %",
        y_label="wrong answers, %",
        x_ticks=ticks(x),
        y_ticks=ticks(y),
        lines=(
            Line(
                name="test images, the surest first",
                style="main",
                points=polyline([(x.at(100 * p.coverage), y.at(100 * p.risk)) for p in rows]),
            ),
        ),
        flag=flag,
    )


def _versions(bins: Sequence[ReliabilityBin]) -> list[tuple[str, list[ReliabilityBin]]]:
    found = ((version, [b for b in bins if b.version == version]) for version in NAMES)
    return [(version, rows) for version, rows in found if rows]


def _curve(version: str, rows: Sequence[ReliabilityBin], *, x: Axis, y: Axis) -> Line:
    dots = tuple(
        Dot(
            x=x.at(b.confidence),
            y=y.at(b.accuracy),
            text=f"{NAMES[version]}: {b.n} images of probability {b.low:.2f} to {b.high:.2f}, "
            f"mean {b.confidence:.3f}; {b.accuracy:.3f} right",
        )
        for b in rows
    )
    return Line(
        name=NAMES[version],
        style=STYLES[version],
        points=polyline([(d.x, d.y) for d in dots]),
        dots=dots,
    )


def _at(rows: Sequence[RiskPoint], coverage: float) -> RiskPoint:
    """Return the last point that answers no more than a share of the images, or the first."""
    return next((p for p in reversed(rows) if p.coverage <= coverage + 1e-9), rows[0])
