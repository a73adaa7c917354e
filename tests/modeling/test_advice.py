"""What is said about histories drawn up by hand."""

from dataclasses import replace

from pipeline.core.artifacts import EpochRecord
from pipeline.modeling.advice import advise, climbed, overfitting_epochs, rising_epochs
from pipeline.modeling.history import mark_kept


def history(*losses: tuple[float, float], sizes: tuple[int, ...] = ()) -> list[EpochRecord]:
    """Return epochs of (train, valid) losses, the lowest valid loss kept."""
    best = min(range(len(losses)), key=lambda i: losses[i][1])
    return [
        EpochRecord(
            epoch=i + 1,
            lr=0.1,
            size_px=sizes[i] if sizes else 64,
            train_loss=train,
            valid_loss=valid,
            valid_accuracy=0.9,
            kept=i == best,
        )
        for i, (train, valid) in enumerate(losses)
    ]


def test_overfitting_is_validation_getting_worse_while_training_improves() -> None:
    records = history((1.0, 0.9), (0.8, 0.5), (0.6, 0.6), (0.4, 0.7))
    assert overfitting_epochs(records) == (3, 4)
    assert "In epochs 3, 4 validation got worse while training improved" in advise(records)[0]


def test_a_rising_training_loss_means_a_rate_too_high() -> None:
    records = history((1.0, 0.9), (1.5, 1.4), (0.6, 0.6))
    assert rising_epochs(records) == (2,)
    assert advise(records)[0].startswith(
        "The training loss rose in epoch 2: the learning rate is likely too high."
    )


def test_a_rise_at_a_change_of_size_is_not_held_against_the_rate() -> None:
    assert rising_epochs(history((1.0, 0.9), (1.5, 0.8), sizes=(48, 64))) == ()


def test_a_rise_where_the_schedule_begins_anew_is_not_held_against_the_rate() -> None:
    records = history((1.0, 0.9), (0.5, 0.8), (0.7, 0.7), (0.8, 0.6))
    assert rising_epochs(records) == (3, 4)
    records[2] = replace(records[2], restart=True)
    assert rising_epochs(records) == (4,)


def test_a_rise_within_the_noise_is_no_rise() -> None:
    records = history((1.0, 0.5), (1.02, 0.51), (0.9, 0.49))
    assert rising_epochs(records) == ()
    assert overfitting_epochs(records) == ()


def test_a_best_last_epoch_suggests_training_for_longer() -> None:
    assert "training for longer" in advise(history((1.0, 0.9), (0.8, 0.7)))[0]


def test_one_epoch_is_no_curve() -> None:
    assert advise(history((1.0, 0.9))) == ("One epoch makes no curve: train for longer.",)


def test_a_quiet_history_says_so() -> None:
    assert advise(history((1.0, 0.7), (0.9, 0.71))) == (
        "Nothing in these curves calls for a change.",
    )


def test_the_epoch_with_the_lowest_validation_loss_is_kept_the_last_of_equals() -> None:
    records = history((1.0, 0.9), (0.8, 0.5), (0.6, 0.5), (0.4, 0.7))
    assert [record.kept for record in mark_kept(records)] == [False, False, True, False]


def test_a_climb_is_worse_than_guessing_and_twice_the_best() -> None:
    chance = 0.6931  # ln 2
    assert climbed(history((0.5, 0.5), (0.3, 0.5), (0.9, 0.5)), chance=chance)
    assert not climbed(history((0.5, 0.5), (0.1, 0.5), (0.4, 0.5)), chance=chance)  # a restart
    assert not climbed(history((0.69, 0.5), (0.9, 0.5)), chance=chance)  # a slow start
    assert not climbed(history((5.0, 0.5)), chance=chance)


def test_overfitting_epochs_are_marked_in_the_history() -> None:
    records = mark_kept(history((1.0, 0.9), (0.8, 0.5), (0.6, 0.6), (0.4, 0.7)))
    assert [record.overfitting for record in records] == [False, False, True, True]
