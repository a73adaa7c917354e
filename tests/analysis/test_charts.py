"""Chart geometry, worked out by hand."""

import pytest

from pipeline.analysis.calibration_charts import reliability_chart, risk_chart
from pipeline.analysis.charts import (
    Axis,
    accuracy_chart,
    loss_chart,
    lr_chart,
    nice_ticks,
    rate_chart,
)
from pipeline.core.artifacts import (
    CurvePoint,
    EpochRecord,
    ReliabilityBin,
    RiskPoint,
    SweepPoint,
)


def epoch(number: int, train: float, valid: float, *, kept: bool = False) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        lr=0.1,
        size_px=64,
        train_loss=train,
        valid_loss=valid,
        valid_accuracy=0.5,
        kept=kept,
    )


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.13, 0.61, [0.2, 0.3, 0.4, 0.5, 0.6]),
        (0, 6000, [0, 1000, 2000, 3000, 4000, 5000, 6000]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_numbers_inside_the_range(
    low: float, high: float, expected: list[float]
) -> None:
    assert nice_ticks(low, high) == expected


def test_a_linear_axis_maps_its_ends_and_its_middle() -> None:
    axis = Axis(low=2, high=4, start_px=100, end_px=0)
    assert [axis.at(v) for v in (2, 3, 4)] == [100, 50, 0]


def test_a_log_axis_puts_decades_at_equal_distances() -> None:
    axis = Axis(low=0.001, high=10, start_px=0, end_px=400, log=True)
    assert [axis.at(v) for v in (0.001, 0.01, 0.1, 1, 10)] == [0, 100, 200, 300, 400]


def test_the_range_test_marks_the_suggested_rate_and_names_the_decades() -> None:
    curve = [CurvePoint(lr=10.0**k, loss=1.0, spread=0.1) for k in range(-3, 2)]
    chart = lr_chart(curve, suggested=0.1)
    assert chart is not None
    assert [tick.text for tick in chart.x_ticks] == ["0.001", "0.01", "0.1", "1", "10"]
    assert chart.flag is not None
    assert chart.flag.x == chart.x_ticks[2].at
    assert chart.flag.text == "suggested 0.1"


def test_the_chart_spans_the_coarse_sweep_and_not_the_curve_alone() -> None:
    curve = [CurvePoint(lr=10.0**k, loss=1.0, spread=0.1) for k in range(-1, 2)]
    coarse = [SweepPoint(part="whole", sweep=0, lr=10.0**k, loss=1.0) for k in range(-3, 1)]
    chart = lr_chart(curve, suggested=0.1, sweeps=coarse)
    assert chart is not None
    assert [tick.text for tick in chart.x_ticks] == ["0.001", "0.01", "0.1", "1", "10"]
    faint, main = chart.lines
    first = [line.points.split()[0].split(",")[0] for line in (faint, main)]
    assert float(first[0]) == pytest.approx(chart.x_ticks[0].at, abs=0.1)
    assert float(first[1]) == pytest.approx(chart.x_ticks[2].at, abs=0.1)


def test_a_curve_of_one_point_gives_no_chart() -> None:
    assert lr_chart([CurvePoint(lr=0.1, loss=1.0, spread=0.0)], suggested=0.1) is None


def test_points_that_are_not_finite_are_left_out() -> None:
    curve = [CurvePoint(lr=10.0**k, loss=1.0, spread=0.0) for k in range(-3, 0)]
    broken = [*curve, CurvePoint(lr=1.0, loss=float("nan"), spread=float("nan"))]
    assert lr_chart(broken, suggested=0.01) == lr_chart(curve, suggested=0.01)


def test_the_kept_epoch_is_marked_where_its_dot_is() -> None:
    chart = loss_chart([epoch(1, 1, 1), epoch(2, 0.5, 0.6, kept=True)], shaded=())
    assert chart.flag is not None
    assert chart.flag.x == chart.lines[0].dots[1].x
    assert chart.flag.text == "kept: epoch 2"


def test_neighbouring_shaded_epochs_form_one_stretch() -> None:
    history = [epoch(k, 1 / k, 1.0) for k in range(1, 8)]
    assert len(loss_chart(history, shaded=(3, 4, 6)).shades) == 2


def test_a_history_of_one_epoch_can_be_drawn() -> None:
    chart = accuracy_chart([epoch(1, 1, 1)])
    assert [tick.text for tick in chart.x_ticks] == ["1"]
    assert len(chart.lines[0].dots) == 1


def test_an_accuracy_of_one_hundred_percent_stays_inside() -> None:
    history = [
        EpochRecord(
            epoch=k, lr=0.1, size_px=64, train_loss=1, valid_loss=1, valid_accuracy=a, kept=False
        )
        for k, a in ((1, 0.5), (2, 1.0))
    ]
    assert max(float(tick.text) for tick in accuracy_chart(history).y_ticks) == 100


def test_the_rate_is_drawn_from_zero_and_its_peak_is_named() -> None:
    chart = rate_chart([epoch(1, 1, 1), epoch(2, 1, 1, kept=True)])
    assert "highest 0.1" in chart.summary
    assert chart.y_ticks[0].text == "0"
    assert chart.flag is not None


def test_reliability_has_a_line_before_and_one_after_and_the_ideal() -> None:
    bins = [
        ReliabilityBin(version=v, low=0.5, high=1, confidence=0.8, accuracy=a, n=9)
        for v, a in (("before", 0.5), ("after", 0.8))
    ]
    chart = reliability_chart(bins)
    assert chart is not None
    ideal, before, after = chart.lines
    # 0.8 of 0.8 lies on the ideal line, which goes from corner to corner.
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in ideal.points.split())
    (dot,) = after.dots
    assert dot.y == pytest.approx(y0 + (dot.x - x0) / (x1 - x0) * (y1 - y0), abs=0.2)
    assert before.dots[0].y > dot.y  # further down
    assert reliability_chart([]) is None


def test_the_threshold_is_marked_where_the_curve_passes_it() -> None:
    points = [
        RiskPoint(threshold=t, coverage=c, risk=0.1, n=1)
        for t, c in ((0.99, 0.25), (0.9, 0.5), (0.6, 1.0))
    ]
    chart = risk_chart(points, threshold=0.9)
    assert chart is not None
    half = next(tick.at for tick in chart.x_ticks if tick.text == "40") / 2
    half += next(tick.at for tick in chart.x_ticks if tick.text == "60") / 2
    assert chart.flag is not None
    assert chart.flag.x == pytest.approx(half, abs=0.2)
    unmarked = risk_chart(points, threshold=None)
    assert unmarked is not None
    assert unmarked.flag is None
    assert "answering the surest 50 %, 10.00 %" in chart.summary
