"""Suspected labels: their order, and the way back into data/corrections.csv."""

from pathlib import Path

import pytest
from reported import make_run

from pipeline.analysis.mending import as_marks, as_rows, merged, settled, unambiguous_names
from pipeline.analysis.suspects import main, rank_suspects
from pipeline.core.archive import Member, read_members, write_archive
from pipeline.core.artifacts import Prediction, Predictions, write_csv
from pipeline.core.layout import Layout
from pipeline.data.corrections import COLUMNS, read_corrections

CLASSES = ("cat", "dog")


def predictions(*cats: tuple[str, str, float]) -> Predictions:
    """Return predictions from (path, label, P(cat))."""
    rows = (
        Prediction(path, label, "cat" if p > 0.5 else "dog", 1.0, (p, round(1 - p, 6)))
        for path, label, p in cats
    )
    return Predictions(CLASSES, tuple(rows))


VALID = predictions(
    ("v/1", "cat", 0.9),
    ("v/2", "cat", 0.7),
    ("v/3", "cat", 0.2),
    ("v/4", "dog", 0.4),
    ("v/5", "dog", 0.1),
    ("v/6", "dog", 0.55),
)  # the case of test_confident: t = (0.6, 0.65), v/3 is above the threshold
TRAIN = predictions(("t/1", "cat", 0.99), ("t/2", "cat", 0.3), ("t/3", "dog", 0.01))


def test_those_above_the_threshold_come_first_then_the_smallest_margin() -> None:
    ranked = rank_suspects({"valid": VALID})
    assert [(s.row.path, s.above) for s in ranked[:3]] == [
        ("v/3", True),
        ("v/6", False),
        ("v/4", False),
    ]
    assert (ranked[0].suggested, ranked[1].suggested) == ("dog", "cat")
    assert ranked[0].margin == pytest.approx(-0.6)


def test_training_images_are_judged_by_thresholds_from_outside() -> None:
    # Their own would be (0.645, 0.99): P(dog) = 0.7 of t/2 would pass.
    assert not rank_suspects({"train": TRAIN})[0].above
    ranked = rank_suspects({"train": TRAIN, "valid": VALID})
    assert [(s.row.path, s.split) for s in ranked if s.above] == [
        ("v/3", "valid"),
        ("t/2", "train"),
    ]


def test_what_a_person_settled_is_left_out() -> None:
    ranked = rank_suspects({"valid": VALID}, leave_out={"v/3"})
    assert len(ranked) == 5
    assert not any(s.above for s in ranked)


def test_a_split_without_images_is_no_obstacle() -> None:
    assert len(rank_suspects({"train": TRAIN, "valid": predictions(), "test": VALID})) == 9


def test_a_drop_settles_no_label() -> None:
    marks = {"a": ("keep", ""), "b": ("drop", ""), "c": ("relabel", "cat")}
    assert settled(marks) == {"a", "c"}


def test_an_image_whose_path_is_the_source_of_another_is_named_by_its_source(
    tmp_path: Path,
) -> None:
    files = [("cat/1.jpg", "set/cat/1.jpg", b"1"), ("cat/2.jpg", "cat/1.jpg", b"2")]
    write_archive(tmp_path / "raw.zip", [*files, ("dog/1.jpg", "dog/1.jpg", b"3")])
    members = read_members(tmp_path / "raw.zip")
    names = unambiguous_names(members)
    marks = {"cat/1.jpg": ("relabel", "dog"), "cat/2.jpg": ("keep", "")}
    write_csv(tmp_path / "c.csv", COLUMNS, as_rows(marks, names))
    assert as_marks(read_corrections(tmp_path / "c.csv", members)) == marks


def test_the_names_of_ordinary_images_are_their_paths() -> None:
    assert unambiguous_names([Member("cat/1.jpg", "x/cat/1.jpg", 1)]) == {}


def test_a_new_mark_wins_over_the_row_of_the_file() -> None:
    known = {"a": ("drop", ""), "b": ("keep", "")}
    assert merged(known, {"a": ("relabel", "dog")}) == {"a": ("relabel", "dog"), "b": ("keep", "")}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return make_run(tmp_path, CLASSES, names=("a.jpg", "b.jpg", "c,d.jpg", "d.jpg", "e.jpg"))


def test_the_command_prints_rows_of_corrections_csv(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    main([], layout=layout)
    # By hand: of the test images every third has P(label) 0.2, so that the other splits' mean
    # probabilities lie below 0.8; the first training image has 0.05, the second 0.3.
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "path,action,label"
    assert "cat/b.jpg,relabel,dog" in printed
    assert "cat/e.jpg,relabel,dog" in printed
    assert '"cat/c,d.jpg",relabel,dog' not in printed


def test_the_command_adds_to_the_rows_that_are_there(layout: Layout) -> None:
    layout.corrections.write_text('path,action,label\n"set/cat/c,d.jpg",drop,\ncat/b.jpg,keep,\n')
    members = read_members(layout.raw_archive)
    main(["--write", str(layout.corrections)], layout=layout)
    corrections = read_corrections(layout.corrections, members)
    assert corrections.drop == {"cat/c,d.jpg"}
    assert corrections.keep == {"cat/b.jpg"}  # settled: it is suspected no more
    assert corrections.relabel["cat/e.jpg"] == "dog"
