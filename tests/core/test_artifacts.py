"""Records survive the way through their files."""

import pytest

from pipeline.core.artifacts import (
    EpochRecord,
    Prediction,
    Predictions,
    Rejected,
    Suggestion,
    read_predictions,
    read_records,
    read_suggestion,
    write_predictions,
    write_records,
    write_suggestion,
)
from pipeline.core.errors import ArtifactError

HOSTILE = [
    *("a,b", 'a"b', "a\nb", "a\r\nb", "a\rb", "=cmd|' /C calc'!A0"),
    *("\u00e9", "e\u0301", " ", "日本.jpg", "a'b"),
]


def test_hostile_names_survive(tmp_path):
    rows = [Rejected(path=n, source=n[::-1], reason="empty", detail=n) for n in HOSTILE]
    write_records(tmp_path / "r.csv", rows, Rejected)
    assert read_records(tmp_path / "r.csv", Rejected, stage="split") == rows


def test_numbers_and_truth_values_survive(tmp_path):
    rows = [
        EpochRecord(
            epoch=1,
            lr=0.05,
            size_px=48,
            train_loss=0.5,
            valid_loss=1e-5,
            valid_accuracy=1.0,
            kept=True,
        )
    ]
    write_records(tmp_path / "h.csv", rows, EpochRecord)
    assert read_records(tmp_path / "h.csv", EpochRecord, stage="train") == rows


def test_predictions_survive(tmp_path):
    rows = (Prediction("c/1.jpg", "c", "d,e", 0.5, (0.25, 0.75)),)
    write_predictions(tmp_path / "p.csv", Predictions(("c", "d,e"), rows))
    assert read_predictions(tmp_path / "p.csv") == Predictions(("c", "d,e"), rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not found; run: dvc repro split"),
        ("", "columns are , expected path,"),
        ("path,source,reason\n", "columns are path,source,reason, expected"),
        ("path,source,reason,detail\na,b\n", "line 2: 2 columns, expected 4"),
        ('path,source,reason,detail\n"a,b,c,d\n', "line 2: unexpected end of data"),
    ],
)
def test_a_malformed_file_is_named_with_the_stage_to_run(tmp_path, content, message):
    path = tmp_path / "r.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError, match=message) as caught:
        read_records(path, Rejected, stage="split")
    assert "run: dvc repro split" in str(caught.value)


def test_a_number_that_is_none_is_named(tmp_path):
    path = tmp_path / "h.csv"
    path.write_text(
        "epoch,lr,size_px,train_loss,valid_loss,valid_accuracy,kept,overfitting,restart\n"
        "1,x,1,1,1,1,true,false,false\n"
    )
    with pytest.raises(ArtifactError, match=r"h\.csv, line 2: could not convert .*dvc repro train"):
        read_records(path, EpochRecord, stage="train")


def test_a_suggestion_survives_and_a_damaged_one_does_not(tmp_path):
    path = tmp_path / "s.json"
    write_suggestion(path, Suggestion(lr=0.05, status="ok"))
    assert read_suggestion(path) == Suggestion(lr=0.05, status="ok")
    for content in ("", "{}", '{"lr": "a", "status": "ok"}', '{"lr": 0.0, "status": "ok"}'):
        path.write_text(content)
        with pytest.raises(ArtifactError, match="run: dvc repro lr_find"):
            read_suggestion(path)
