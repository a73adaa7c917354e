"""The model card, read as people's tools read it: as Markdown and as YAML."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from carded import SAID, make_facts
from markdown_it import MarkdownIt

from pipeline.card.facts import public_name, public_names
from pipeline.card.page import render
from pipeline.core.artifacts import SliceRow
from pipeline.core.errors import ArtifactError

HOSTILE = (
    '<img src=x onerror="alert(1)">',
    "a|b | c",
    "`tick` ``two``",
    "# heading\n---\nlicense: mit",
    "[click](https://example.com) **bold** https://example.com www.example.com",
    "{{ 7 * 7 }} {% raw %}",
    "'single' \"double\": [yaml, - list] &anchor !!python/name:os.system",
    "--- \u202egnp.exe",
    "$x^2$ ~~gone~~ <!-- hidden -->",
    "~~~ ``` fence",
)
ROWS = (
    SliceRow(
        slice="metadata.a|b", value="x|`y`\\|", n=40, accuracy=0.3, accuracy_low=0.2,
        accuracy_high=0.45,
    ),
    SliceRow(
        slice="brightness", value="1 to 2", n=9, accuracy=0.5, accuracy_low=0.2,
        accuracy_high=0.8,
    ),
)  # fmt: skip


def parts(card: str) -> tuple[dict[str, Any], str]:
    """Return the front matter as hubs cut it out, and the Markdown after it."""
    found = re.match(r"\A---\n(.*?)\n---\n(.*)", card, flags=re.DOTALL)
    assert found
    return yaml.safe_load(found[1]), found[2]


def tokens(markdown: str) -> list[Any]:
    """Return the flat tokens of the Markdown as GitHub reads it."""
    blocks = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    return [leaf for block in blocks for leaf in (block, *(block.children or ()))]


def headings(markdown: str) -> list[str]:
    blocks = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    return [blocks[k + 1].content for k, b in enumerate(blocks) if b.type == "heading_open"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render(make_facts(tmp_path_factory.mktemp("plain"), slices=ROWS))


def test_the_front_matter_is_what_a_hub_reads(plain):
    content, _ = parts(plain)
    assert content["license"] == "unknown"
    assert content["pipeline_tag"] == "image-classification"
    (index,) = content["model-index"]
    (result,) = index["results"]
    assert result["task"]["type"] == "image-classification"
    assert {"type", "name", "split"} <= set(result["dataset"])
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values == {
        **{"accuracy": 0.654321, "roc_auc": 0.912345},
        **{"brier_score": 0.3, "log_loss": 0.456789},
    }


def test_figures_are_those_of_the_artifacts_with_n_and_interval(plain):
    assert re.search(r"nothing was chosen \(n = \d+\)", plain)
    for row in (
        "| accuracy (95 % interval) | 65.4 % (50.0 % to 75.0 %) |",
        "| log loss, nats | 0.457 |",
        "| `cat` | 31 | 2 | 17 |",
        "| all | 62 | 4 | 34 |",
        "100 images used. 5 set aside: 3 `duplicate`, 2 `truncated`.",
        "| noise | 8 | 6 | 75.0 % | 40.9 % to 92.8 % | 0.910 | `cat` |",
        "| answered | 66.0 % | 30.0 % to 90.0 % |",
        "| wrong among these | 25.0 % | 5.0 % to 70.0 % | 4 |",
        "An answer less probable than 0.7900 is called `unsure`.",
        "so that at least 95.0 % of them get an answer",
    ):
        assert row in plain, row


def test_a_slice_is_notably_worse_where_its_whole_interval_is(plain):
    assert "| 40 | 30.0 % (20.0 % to 45.0 %) |" in plain
    assert "1 to 2" not in plain


def test_checksums_are_those_of_the_files(plain):
    onnx = hashlib.sha256(b"onnx").hexdigest()
    assert f"| `models/model.onnx` | `{onnx}` |" in plain
    assert plain.count(onnx) == 2  # and in what to cite
    assert len(set(re.findall(r"`([0-9a-f]{64})`", plain))) == 4


def test_the_same_facts_give_the_same_bytes(tmp_path):
    facts = make_facts(tmp_path)
    assert render(facts) == render(facts)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_break_neither_markdown_nor_yaml(tmp_path, plain, text):
    name = re.sub(r"[\n/\\]", "_", text)  # what a class can be called
    words = {"title", "author", "contact", "intended_use", "out_of_scope", "data_licence"}
    said = replace(SAID, **dict.fromkeys(words, text), model_licence=text)
    rows = (replace(ROWS[0], value=text), *ROWS)
    card = render(make_facts(tmp_path, (name, "dog"), said=said, sources=(text,), slices=rows))
    content, markdown = parts(card)
    assert content["license"] in ("other", "unknown")
    shown = tokens(markdown)
    assert [h for h in headings(markdown)[1:]] == headings(parts(plain)[1])[1:]
    html = {t.content for t in shown if t.type in ("html_inline", "html_block")}
    assert html <= {"<code>", "</code>"}
    kinds = {t.type for t in shown}
    assert not {"link_open", "image", "s_open", "hr"} & kinds
    assert sum(t.type == "fence" for t in shown) == 2
    # Every table keeps its columns.
    count = [0]
    for token in shown:
        if token.type in ("tr_open", "table_open"):
            count.append(0)
        count[-1] += token.type in ("td_open", "th_open")
    assert set(count[1:]) <= {0, 2, 4, 5, 7}
    # And the name is seen as it is.
    text_seen = re.sub(r"\s+", "", "".join(t.content for t in shown if not t.children))
    visible = re.sub(r"[\s\u202e]", "", name)
    assert visible in text_seen
    assert "\u202e" not in card


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("cc-by-nc-4.0", {"license": "cc-by-nc-4.0"}),
        ("Our own, 2nd edition", {"license": "other", "license_name": "our-own-2nd-edition"}),
    ],
)
def test_a_stated_licence_is_an_identifier_or_a_name(tmp_path, said, fields):
    card = render(make_facts(tmp_path, said=replace(SAID, model_licence=said)))
    content, markdown = parts(card)
    assert {k: v for k, v in content.items() if k.startswith("license")} == fields
    assert f"- model: {said}" in markdown


def test_what_nobody_stated_is_said_to_be_so_with_where_to_state_it(plain):
    assert "- data: not stated (`card.data_licence` in `params.yaml`)" in plain


def test_sources_are_named_without_folders_of_the_machine_and_without_passwords():
    assert public_name("/home/ann/secret project/pets.zip") == "pets.zip"
    assert public_name("https://ann:pw@example.com/pets.zip?token=x") == (
        "https://example.com/pets.zip"
    )
    assert public_name("file:///home/ann/pets.zip") == "pets.zip"
    assert public_name("dogscats").startswith("dogscats (https://")
    lines = public_names(("a/b", "c.zip"), (None, "0" * 64), synthetic_images=60, synthetic_seed=1)
    assert lines == ["b", f"c.zip, sha256 {'0' * 64}"]


def test_a_missing_figure_is_one_line_with_the_stage_to_run(tmp_path):
    facts = make_facts(tmp_path)
    without = {k: v for k, v in facts.metrics.items() if k != "log_loss"}
    with pytest.raises(ArtifactError, match=r"log_loss.*dvc repro"):
        render(replace(facts, metrics=without))


def test_without_a_threshold_nothing_is_called_unsure(tmp_path):
    facts = make_facts(tmp_path)
    card = render(replace(facts, spec=replace(facts.spec, threshold=None)))
    assert "no answer is ever called `unsure`" in card


@pytest.mark.slow
def test_the_pipeline_leaves_a_card_that_describes_its_own_files(tiny_run):
    run = tiny_run.run_recorded("card")
    assert "models/MODEL_CARD.md" in run.left
    card = (tiny_run.root / "models/MODEL_CARD.md").read_text()
    for path in ("models/model.onnx", "models/model.pt", "data/raw.zip", "data/split.csv"):
        sha256 = hashlib.sha256((tiny_run.root / path).read_bytes()).hexdigest()
        assert f"| `{path}` | `{sha256}` |" in card
    assert "| all | 20 |" in card  # card.probe_images of tiny
    assert str(Path.home()) not in card
    assert str(tiny_run.root) not in card
