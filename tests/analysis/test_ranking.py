"""Rankings, against lists worked out by hand."""

from pipeline.analysis import ranking
from pipeline.analysis.lineup import line_up
from pipeline.core.artifacts import Prediction, Predictions


def names(rows: ranking.Rows) -> str:
    return "".join(row.path[4] for row in rows)


def test_random_rows_are_right_or_wrong_as_asked_and_do_not_repeat(
    predictions: Predictions,
) -> None:
    assert sorted(names(ranking.at_random(predictions, right=True, n=9, seed=0))) == ["a", "b", "d"]
    assert sorted(names(ranking.at_random(predictions, right=False, n=9, seed=0))) == [
        *("c", "e", "f")
    ]
    assert len(ranking.at_random(predictions, right=True, n=2, seed=0)) == 2


def test_random_rows_depend_on_the_seed_alone(predictions: Predictions) -> None:
    draws = {
        names(ranking.at_random(predictions, right=True, n=1, seed=seed)) for seed in range(20)
    }
    again = {
        names(ranking.at_random(predictions, right=True, n=1, seed=seed)) for seed in range(20)
    }
    assert draws == again == {"a", "b", "d"}


def test_surest_right_goes_by_class_and_falls_in_confidence(predictions: Predictions) -> None:
    found = ranking.surest_right(predictions, n=2)
    assert {name: names(rows) for name, rows in found.items()} == {"cat": "ab", "dog": "d"}


def test_surest_wrong_is_grouped_by_the_label(predictions: Predictions) -> None:
    found = ranking.surest_wrong(predictions, n=2)
    assert {name: names(rows) for name, rows in found.items()} == {"cat": "c", "dog": "fe"}


def test_equal_confidence_is_ordered_by_path() -> None:
    rows = tuple(Prediction(f"cat/{c}.jpg", "cat", "cat", 0.1, (0.9, 0.1)) for c in "zxy")
    assert names(ranking.surest_right(Predictions(("cat", "dog"), rows), n=3)["cat"]) == "xyz"


def test_least_sure_has_the_lowest_confidence_first(predictions: Predictions) -> None:
    assert names(ranking.least_sure(predictions, n=3)) == "ebf"


def test_confusion_counts_the_label_by_row(predictions: Predictions) -> None:
    assert ranking.confusion_counts(predictions).tolist() == [[2, 1], [2, 1]]


def test_most_confused_lists_cells_off_the_diagonal(predictions: Predictions) -> None:
    found = ranking.most_confused(ranking.confusion_counts(predictions), predictions.classes, n=9)
    assert [(pair.label, pair.predicted, pair.count) for pair in found] == [
        ("dog", "cat", 2),
        ("cat", "dog", 1),
    ]


def test_wrong_rows_are_taken_from_every_kind_in_turn(predictions: Predictions) -> None:
    assert names(ranking.wrong_of_every_kind(predictions, n=2)) == "cf"
    assert names(ranking.wrong_of_every_kind(predictions, n=9)) == "cfe"


def test_rows_without_repeats_fall_in_loss(predictions: Predictions) -> None:
    assert names(ranking.without_repeats([*predictions.rows, *predictions.rows])) == "cfebad"


def test_line_up_counts_images_by_the_probability_of_their_class(
    predictions: Predictions,
) -> None:
    columns = line_up(predictions, columns=4, depth=1, seed=0)
    assert [(column.low, column.high, column.n) for column in columns] == [
        (0.0, 0.25, 1),  # c
        (0.25, 0.5, 2),  # e, f
        (0.5, 0.75, 1),  # b
        (0.75, 1.0, 2),  # a, d
    ]
    assert [len(column.rows) for column in columns] == [1, 1, 1, 1]


def test_certainty_belongs_to_the_last_column() -> None:
    row = Prediction("cat/a.jpg", "cat", "cat", 0.0, (1.0, 0.0))
    columns = line_up(Predictions(("cat", "dog"), (row,)), columns=4, depth=1, seed=0)
    assert [column.n for column in columns] == [0, 0, 0, 1]
