"""The report stage on artifacts made by hand."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from reported import HOSTILE_CLASS, make_run

from pipeline.analysis.figures import grouped, percent
from pipeline.core.archive import write_archive
from pipeline.core.artifacts import EpochRecord, write_records
from pipeline.core.atomic import sha256_file
from pipeline.core.errors import ArtifactError
from pipeline.core.layout import Layout
from pipeline.core.params import Params, load_params
from stages.report import run


@pytest.fixture(scope="module")
def params() -> Params:
    """The repository's params with four images a panel."""
    loaded = load_params(Path(__file__).parents[2] / "params.yaml")
    return replace(loaded, report=replace(loaded.report, images_per_panel=4))


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


def leaves(content: object, path: str = "") -> dict[str, float]:
    """Return the numbers of metrics.json by dotted path."""
    if isinstance(content, dict):
        parts = (leaves(value, f"{path}.{key}" if path else key) for key, value in content.items())
        return {key: value for part in parts for key, value in part.items()}
    return {path: content} if isinstance(content, int | float) else {}


def test_every_figure_of_the_page_is_that_of_metrics_json(layout: Layout, page: str) -> None:
    numbers = leaves(json.loads(layout.metrics.read_text()))
    shown = re.findall(r'<data value="([^"]*)" data-metric="([^"]*)">([^<]*)</data>', page)
    assert len(shown) > 50
    for value, name, text in shown:
        number = numbers[html.unescape(name)]
        assert float(value) == number
        assert text in (percent(number), grouped(round(number)), f"{number:.4f}")
    # And the other way round: no figure is left out but the classes of the further parts.
    left_out = {name for name in numbers if "per_class" in name and not name.startswith("per_")}
    assert {html.unescape(name) for _, name, _ in shown} == numbers.keys() - left_out


def test_the_headline_is_the_accuracy_of_the_test_images(page: str) -> None:
    text = re.sub(r"<[^>]*>", "", page).replace("\N{NO-BREAK SPACE}", " ")
    assert "65.43 % of the test images right" in text
    assert "95 % interval 50.00 % to 75.00 %, n = 5; 1 wrong" in text


def test_every_sweep_of_the_whole_network_is_drawn_and_the_verdict_has_its_reason(
    page: str,
) -> None:
    assert page.count('<polyline class="line faint"') == 3
    assert page.count("each sweep, step by step") == 1
    assert "it rose &lt;b&gt;sharply&lt;/b&gt;" in page


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
    assert page.count("</script>") == 2  # that one, and the facts, which are no program


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
        ("packed", "pack"),
        ("split", "split"),
        ("rejected", "split"),
        ("suggestion", "lr_find"),
        ("lr_curve", "lr_find"),
        ("lr_sweeps", "lr_find"),
        ("lr_rules", "lr_find"),
        ("model", "train"),
        ("history", "train"),
        ("train_metrics", "train"),
        ("predictions", "evaluate"),
        ("valid_predictions", "evaluate"),
        ("train_predictions", "evaluate"),
        ("reliability", "evaluate"),
        ("risk_coverage", "evaluate"),
        ("slices", "evaluate"),
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
        with pytest.raises(ArtifactError, match=rf"{path.name}.*not found; run: dvc repro {stage}"):
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
