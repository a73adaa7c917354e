"""The report stage on artifacts made by hand."""

import io
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from pipeline.core.archive import write_archive
from pipeline.core.artifacts import (
    CurvePoint,
    EpochRecord,
    Prediction,
    Predictions,
    Rejected,
    Sample,
    Suggestion,
    write_predictions,
    write_records,
    write_suggestion,
)
from pipeline.core.atomic import sha256_file, write_json
from pipeline.core.errors import ArtifactError
from pipeline.core.layout import Layout
from pipeline.core.params import Params, load_params
from pipeline.imaging.spec import ModelSpec, PreprocessSpec
from pipeline.modeling.checkpoint import save_checkpoint
from pipeline.modeling.zoo import build_model
from stages.report import run

HOSTILE_FILE = "<script>alert(1).jpg"  # a name in the archive cannot hold a slash
HOSTILE_CLASS = "<b>\"x\" onload='y'"
HOSTILE_DETAIL = '<img src="https://example.com/x.png">'


@pytest.fixture(scope="module")
def params() -> Params:
    """The repository's params with four images a panel."""
    loaded = load_params(Path(__file__).parents[2] / "params.yaml")
    return replace(loaded, report=replace(loaded.report, images_per_panel=4))


def make_run(root: Path, classes: tuple[str, ...], *, all_right: bool = False) -> Layout:
    """Write every artifact that the stage reads: six images a class, three of them test images.

    Of each class's test images the last is taken for the next class, unless `all_right`.
    """
    layout = Layout(root)
    names = ("a.jpg", "b.jpg", HOSTILE_FILE, "d.jpg", "e.jpg", "f.jpg")
    paths = sorted(f"{label}/{name}" for label in classes for name in names)
    write_archive(layout.raw_archive, [(path, path, _jpeg(path)) for path in paths])
    samples = [_sample(path, test=k % 2 == 0) for k, path in enumerate(paths)]
    write_records(layout.split, samples, Sample)
    refused = Rejected(path="", source="x/y.jpg", reason="truncated", detail=HOSTILE_DETAIL)
    write_records(layout.rejected, [refused], Rejected)
    tests = [sample for sample in samples if sample.split == "test"]
    _write_evaluation(layout, classes, tests, all_right=all_right)
    _write_training(layout, classes)
    return layout


def _jpeg(path: str) -> bytes:
    image = Image.new("RGB", (200, 150), "white")
    ImageDraw.Draw(image).text((10, 10), str(len(path)) + path[-5], "black")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def _sample(path: str, *, test: bool) -> Sample:
    return Sample(
        path=path,
        label=path.partition("/")[0],
        split="test" if test else "train",
        sha256="0" * 64,
        width=200,
        height=150,
        group=path,
        source=path,
    )


def _write_evaluation(
    layout: Layout, classes: tuple[str, ...], tests: list[Sample], *, all_right: bool
) -> None:
    rows = []
    for k, sample in enumerate(tests):
        label = classes.index(sample.label)
        wrong = k % 3 == 2 and not all_right
        predicted = (label + wrong) % len(classes)
        rest = 0.2 / (len(classes) - 1)
        probs = tuple(0.8 if c == predicted else rest for c in range(len(classes)))
        loss = -math.log(probs[label])
        rows.append(Prediction(sample.path, sample.label, classes[predicted], loss, probs))
    write_predictions(layout.predictions, Predictions(classes, tuple(rows)))
    figures = {
        "n": len(rows),
        "accuracy": 0.654321,
        "accuracy_low": 0.5,
        "accuracy_high": 0.75,
        "log_loss": 0.456789,
        "roc_auc": 0.912345,
        "ece": 0.1,
        "brier": 0.3,
        "per_class": {
            name: {"precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 3} for name in classes
        },
    }
    write_json(layout.metrics, {**figures, "flip_tta": {**figures, "accuracy": 0.87654}})


def _write_training(layout: Layout, classes: tuple[str, ...]) -> None:
    points = [CurvePoint(lr=10 ** (k / 4 - 4), loss=1.0, spread=0.1) for k in range(12)]
    write_records(layout.lr_curve, points, CurvePoint)
    write_suggestion(layout.suggestion, Suggestion(lr=0.0123, status="ok"))
    history = [
        EpochRecord(
            epoch=epoch,
            lr=0.01,
            size_px=48,
            train_loss=1 / epoch,
            valid_loss=valid,
            valid_accuracy=0.6,
            kept=epoch == 2,
        )
        for epoch, valid in enumerate((0.9, 0.5, 0.8), start=1)
    ]
    write_records(layout.history, history, EpochRecord)
    spec = ModelSpec(arch="compact", classes=classes, preprocess=PreprocessSpec(size_px=48))
    weights = build_model("compact", n_classes=len(classes)).state_dict()
    save_checkpoint(layout.model, weights=weights, spec=spec)


@pytest.fixture(scope="module")
def layout(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A finished run with hostile names."""
    made = make_run(tmp_path_factory.mktemp("run"), (HOSTILE_CLASS, "dog"))
    run(params, made)
    return made


@pytest.fixture(scope="module")
def page(layout: Layout) -> str:
    """The page of that run."""
    return layout.report.read_text(encoding="utf-8")


def test_the_page_says_what_metrics_json_says(page: str) -> None:
    text = page.replace("\N{NO-BREAK SPACE}", " ")
    for figure in ("65.43 %", "50.00 % to 75.00 %", "n = 6", "0.4568", "0.9123", "87.65 %"):
        assert figure in text


def test_the_page_names_the_model_the_rate_and_the_kept_epoch(layout: Layout, page: str) -> None:
    for fact in ("compact", "48 × 48", "suggested 0.0123", "kept: epoch 2", "overfitting"):
        assert fact in page
    assert sha256_file(layout.model) in page
    assert sha256_file(layout.raw_archive) in page


def test_hostile_names_are_text(page: str) -> None:
    assert "<script>alert" not in page
    assert HOSTILE_CLASS not in page
    assert "&lt;img src=&#34;https:" in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<script>") == 1


def test_the_page_needs_nothing_beside_it(page: str) -> None:
    sources = re.findall(r"""<[^<>]*?\s(?:src|href|action|data)=["']?([^"'\s>]+)""", page)
    assert sources
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_each_image_is_embedded_once(page: str) -> None:
    embedded = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    numbers = re.findall(r'<image id="t(\d+)"', page)
    assert len(numbers) == len(set(numbers)) == len(embedded)
    assert set(re.findall(r'href="#t(\d+)"', page)) == set(numbers)


def test_equal_artifacts_give_equal_bytes(params: Params, layout: Layout) -> None:
    before = layout.report.read_bytes()
    run(params, layout)
    assert layout.report.read_bytes() == before


def test_the_page_tells_nothing_of_the_machine(layout: Layout, page: str) -> None:
    assert str(layout.root) not in page


def test_without_mistakes_the_wrong_panels_say_so(params: Params, tmp_path: Path) -> None:
    made = make_run(tmp_path, ("cat", "dog"), all_right=True)
    run(params, made)
    page = made.report.read_text(encoding="utf-8")
    assert page.count("No test image was misclassified.") == 3  # two panels and the confusion
    assert 'class="card wrong"' not in page


def test_three_classes_have_a_matrix_of_nine_cells(params: Params, tmp_path: Path) -> None:
    made = make_run(tmp_path, ("ant", "bee", "cow"))
    run(params, made)
    table = made.report.read_text(encoding="utf-8").split('class="matrix')[1].split("</table>")[0]
    assert table.count('<td class="right">') == 3
    assert table.count('<td class="wrong">') == 6
    assert 'aria-label="1 images of ant predicted bee"' in table


@pytest.mark.parametrize(
    ("artifact", "stage"),
    [
        ("raw_archive", "download"),
        ("split", "split"),
        ("rejected", "split"),
        ("suggestion", "lr_find"),
        ("lr_curve", "lr_find"),
        ("model", "train"),
        ("history", "train"),
        ("predictions", "evaluate"),
        ("metrics", "evaluate"),
    ],
)
def test_a_missing_artifact_names_the_stage_to_run(
    params: Params, layout: Layout, artifact: str, stage: str
) -> None:
    path: Path = getattr(layout, artifact)
    aside = path.with_name("aside")
    path.rename(aside)
    try:
        with pytest.raises(ArtifactError, match=f"{path.name}.*not found; run: dvc repro {stage}"):
            run(params, layout)
    finally:
        aside.rename(path)


def test_an_empty_history_is_refused(params: Params, tmp_path: Path) -> None:
    made = make_run(tmp_path, ("cat", "dog"))
    write_records(made.history, [], EpochRecord)
    with pytest.raises(ArtifactError, match=r"history\.csv: no epochs; run: dvc repro train"):
        run(params, made)


def test_an_image_that_cannot_be_decoded_is_named(params: Params, tmp_path: Path) -> None:
    made = make_run(tmp_path, ("cat", "dog"))
    paths = sorted(f"{label}/{n}" for label in ("cat", "dog") for n in ("a.jpg", "b.jpg"))
    write_archive(made.raw_archive, [(path, path, b"no image") for path in paths])
    with pytest.raises(ArtifactError, match=r"cat/.*\.jpg"):
        run(params, made)
