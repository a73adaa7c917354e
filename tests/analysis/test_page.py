"""The parts of the page that are computed: bars, counts, figures, thumbnails, the matrix."""

import io
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.analysis.dataset import (
    class_counts,
    groups_of_several,
    reasons,
    samples_per_class,
    set_aside,
)
from pipeline.analysis.figures import check_predictions, percent, read_figures
from pipeline.analysis.matrix import MAX_CLASSES, confusion_matrix
from pipeline.analysis.page import bars
from pipeline.analysis.selection import MAX_PANEL_IMAGES, select
from pipeline.analysis.thumbnails import thumbnail
from pipeline.core.artifacts import Prediction, Predictions, Rejected, Sample
from pipeline.core.atomic import write_json
from pipeline.core.errors import ArtifactError

METRICS = {
    "n": 6,
    "accuracy": 0.5,
    "accuracy_low": 0.187616,
    "accuracy_high": 0.812384,
    "log_loss": 0.702477,
    "roc_auc": None,
    "ece": 0.1,
    "brier": 0.4,
    "per_class": {
        name: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 3} for name in ("cat", "dog")
    },
}


def sample(path: str, split: str) -> Sample:
    return Sample(
        path=path,
        label=path.partition("/")[0],
        split=split,
        sha256="0" * 64,
        width=10,
        height=10,
        group=path,
        source=path,
    )


SAMPLES = [sample("cat/a.jpg", "train"), sample("cat/b.jpg", "test"), sample("dog/c.jpg", "valid")]


def test_two_classes_keep_their_order_in_the_bars() -> None:
    row = Prediction("cat/a.jpg", "cat", "dog", 1.2, (0.3, 0.7))
    assert [(bar.name, bar.prob, bar.is_label) for bar in bars(row, ("cat", "dog"))] == [
        ("cat", 0.3, True),
        ("dog", 0.7, False),
    ]


def test_of_many_classes_the_bars_are_the_top_three_and_the_label() -> None:
    row = Prediction("v/a.jpg", "v", "y", 3.0, (0.05, 0.1, 0.2, 0.4, 0.25))
    assert [bar.name for bar in bars(row, ("v", "w", "x", "y", "z"))] == ["y", "z", "x", "v"]


def test_images_are_counted_per_class_and_split() -> None:
    counts = class_counts(SAMPLES, ("cat", "dog", "eel"))
    assert [(row.name, row.counts, row.total) for row in counts] == [
        ("cat", (1, 0, 1), 2),
        ("dog", (0, 1, 0), 1),
        ("eel", (0, 0, 0), 0),
    ]


def test_samples_are_drawn_from_each_class() -> None:
    found = samples_per_class(SAMPLES, ("cat", "dog", "eel"), n=5, seed=0)
    assert {name: sorted(paths) for name, paths in found.items()} == {
        "cat": ["cat/a.jpg", "cat/b.jpg"],
        "dog": ["dog/c.jpg"],
        "eel": [],
    }


def test_reasons_come_with_the_commonest_first() -> None:
    rows = [Rejected(path="", source="", reason=r, detail="") for r in ("empty", "dup", "dup")]
    assert reasons(rows) == (("dup", 2), ("empty", 1))


def test_contradictions_come_before_copies_and_what_cannot_be_decoded_is_not_shown() -> None:
    rows = [
        Rejected(path=f"a/{k}", source="", reason=reason, detail="")
        for k, reason in enumerate(("duplicate", "truncated", "conflict", "dropped"))
    ]
    assert [row.reason for row in set_aside(rows)] == ["conflict", "duplicate", "dropped"]


def test_groups_under_two_labels_come_first() -> None:
    rows = [sample("cat/a", "train"), sample("cat/b", "train"), sample("dog/c", "train")]
    rows += [sample("dog/d", "train"), sample("dog/e", "train")]
    named = [replace(row, group=group) for row, group in zip(rows, "xxyyy", strict=True)]
    mixed = replace(sample("cat/f", "train"), group="z"), replace(rows[4], path="dog/g", group="z")
    groups = groups_of_several([*named, *mixed])
    assert [group[0].group for group in groups] == ["z", "y", "x"]


def test_figures_are_those_of_the_file(tmp_path: Path, predictions: Predictions) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {**METRICS, "flip_tta": {**METRICS, "accuracy": 0.75}})
    figures = read_figures(path, predictions)
    assert (figures.at("accuracy"), figures.at("roc_auc")) == (0.5, None)
    assert (figures.tta, figures.at("flip_tta.accuracy")) == ("flip_tta", 0.75)
    assert figures.under("per_class", "cat", "n") == 3
    assert percent(figures.at("accuracy_low") or 0) == "18.76\N{NO-BREAK SPACE}%"


def test_a_class_without_images_has_no_figures_and_that_is_no_error(
    tmp_path: Path, predictions: Predictions
) -> None:
    none = {"precision": None, "recall": None, "f1": None, "n": 0}
    some = METRICS["per_class"] | {"dog": none}
    write_json(tmp_path / "metrics.json", METRICS | {"valid": METRICS | {"per_class": some}})
    figures = read_figures(tmp_path / "metrics.json", predictions)
    assert figures.at("valid.per_class.dog.recall") is None


@pytest.mark.parametrize(
    "change",
    [
        {
            "per_class": {
                name: {"precision": None, "recall": 0.5, "f1": 0.5, "n": 3}
                for name in ("cat", "dog")
            }
        },
        {"n": 7},
        {"accuracy": "high"},
        {"per_class": {}},
        {"per_class": []},
        {"log_loss": None},
        {"flip_tta": {}},
    ],
)
def test_figures_that_do_not_belong_to_the_predictions_are_refused(
    tmp_path: Path, predictions: Predictions, change: dict[str, object]
) -> None:
    write_json(tmp_path / "metrics.json", METRICS | change)
    with pytest.raises(ArtifactError, match="run: dvc repro evaluate"):
        read_figures(tmp_path / "metrics.json", predictions)


@pytest.mark.parametrize("classes", [("dog", "cat"), ("cat",), ("cat", "dog", "eel")])
def test_predictions_of_another_model_are_refused(
    predictions: Predictions, classes: tuple[str, ...]
) -> None:
    with pytest.raises(ArtifactError, match="run: dvc repro evaluate"):
        check_predictions(predictions, classes=classes, where=Path("predictions.csv"))


def test_a_thumbnail_keeps_the_proportions_and_drops_the_comment() -> None:
    image = Image.new("RGB", (800, 400), "teal")
    image.info["comment"] = b"secret" * 1000
    small = thumbnail(image, number=3)
    content = b64decode(small.data)
    assert (small.width, small.height) == Image.open(io.BytesIO(content)).size == (160, 80)
    assert b"secret" not in content


def test_a_small_image_is_not_enlarged() -> None:
    small = thumbnail(Image.new("RGB", (20, 30)), number=0)
    assert (small.width, small.height) == (20, 30)


def test_the_matrix_has_shares_of_the_row() -> None:
    matrix = confusion_matrix(np.array([[3, 1], [0, 0]]), ("cat", "dog"))
    assert [[(c.count, c.share) for c in row] for row in matrix.rows] == [
        [(3, 0.75), (1, 0.25)],
        [(0, 0.0), (0, 0.0)],
    ]


def test_of_many_classes_the_matrix_shows_those_with_mistakes() -> None:
    n_classes = 2 * MAX_CLASSES
    counts = np.eye(n_classes, dtype=np.int64)
    counts[70, 71] = 5
    matrix = confusion_matrix(counts, [f"c{k}" for k in range(n_classes)])
    assert len(matrix.rows) == MAX_CLASSES
    assert {"c70", "c71"} <= set(matrix.classes)


def test_the_selection_stays_small_whatever_the_number_of_classes() -> None:
    classes = tuple(f"c{k:03d}" for k in range(300))
    rows = tuple(
        Prediction(f"{name}/{i}.jpg", name, classes[(k + i % 2) % 300], 1.0, (1 / 300,) * 300)
        for k, name in enumerate(classes)
        for i in range(10)
    )
    selection = select(Predictions(classes, rows), [], per_panel=64, seed=0)
    assert max(len(panel.rows) for panel in selection.panels) == MAX_PANEL_IMAGES
    assert len(set(selection.paths())) < 1000
