"""params.yaml: what is accepted, and what is said about the rest."""

import copy
from pathlib import Path

import pytest
from dvc.utils.serialize import load_yaml

from pipeline.core.errors import ParamsError
from pipeline.core.params import load_params, parse_params
from pipeline.core.yaml12 import parse_yaml

PARAMS = Path("params.yaml")


@pytest.fixture
def tree():
    return copy.deepcopy(parse_yaml(PARAMS.read_text()))


def test_the_committed_file_is_valid():
    params = load_params(PARAMS)
    assert params.data.source == "synthetic"
    assert params.train.lr is None


def test_dvc_reads_the_same_values(tree):
    assert load_yaml(str(PARAMS)) == tree


@pytest.mark.parametrize(
    "scalar",
    [
        *("1e-3", "1E5", "1.", ".5", "-1.5e+3", "0x1F", "0o17", "017", "1:30", "12e03", "0.1"),
        *("yes", "no", "on", "off", "true", "False", "null", "~", ".inf", "-.INF", "1_000", "+1"),
        *("2026-11-23", "''", "0b11", "1e3x"),
    ],
)
def test_a_scalar_means_the_same_to_dvc(tmp_path, scalar):
    text = f"key: {scalar}\n"
    (tmp_path / "p.yaml").write_text(text)
    theirs, ours = load_yaml(str(tmp_path / "p.yaml"))["key"], parse_yaml(text)["key"]
    if scalar == "2026-11-23":  # DVC makes a date of it; no key of ours takes either
        assert ours == "2026-11-23"
    else:
        assert (theirs, type(theirs)) == (ours, type(ours))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("train", "lr", "fast", "train.lr: found 'fast', allowed: a number above 0"),
        ("train", "lr", 0, "train.lr: found 0, allowed: a number above 0"),
        ("train", "lr", float("nan"), "train.lr: found nan"),
        ("train", "epochs", 1.0, "train.epochs: found 1.0, allowed: a whole number at least 1"),
        ("train", "epochs", True, "train.epochs: found true, allowed: a whole number"),
        ("train", "epochs", 0, "train.epochs: found 0, allowed: a whole number at least 1"),
        ("train", "flip", "yes", "train.flip: found 'yes', allowed: true or false"),
        ("train", "optimizer", "adam", "train.optimizer: found 'adam', allowed: muon, sgd, adamw"),
        ("train", "sizes_px", [], "train.sizes_px: found [], allowed: a list"),
        ("train", "sizes_px", [64, 5], "train.sizes_px: found [64, 5], allowed: a list"),
        ("split", "valid_fraction", 1, "split.valid_fraction: found 1, allowed: a number above 0"),
        ("split", "valid_fraction", 0.89, "split.valid_fraction: with split.test_fraction found"),
        ("split", "seed", -1, "split.seed: found -1, allowed: a whole number at least 0"),
        ("data", "source", "", "data.source: found '', allowed: text not empty"),
        ("data", "sha256", "abc", "data.sha256: found 'abc', allowed: 64 lower-case hexadecimal"),
        ("data", "source", 3, "data.source: found 3, allowed: text not empty or a list"),
        ("data", "source", [], "data.source: found [], allowed: text not empty or a list"),
        ("data", "source", ["a", 3], "data.source: found ['a', 3], allowed: text not empty or a"),
        (
            "data",
            "source",
            ["s3://me:pw@h/a", 3],
            "data.source: found ['s3://***@h/a', 3], allowed",
        ),
        ("data", "source", ["a", "a"], "data.source: found a source twice, allowed: each once"),
        ("data", "sha256", 3, "data.sha256: found 3, allowed: text or a list, each item text or"),
        ("data", "sha256", ["a" * 64] * 2, "data.sha256: found 2 for 1 sources, allowed: a list"),
        ("data", "sha256", ["xyz"], "data.sha256: found 'xyz', allowed: 64 lower-case hexadecimal"),
        ("data", "max_ratio", 0, "data.max_ratio: found 0, allowed: a whole number at least 1"),
        ("data", "max_members", "1e6", "data.max_members: found '1e6', allowed: a whole number"),
        ("pack", "mode", None, "pack.mode: found null, allowed: array, stream"),
        ("evaluate", "tta", "crop", "evaluate.tta: found 'crop', allowed: none, flip, multi_crop"),
        ("evaluate", "reject_coverage", 0, "evaluate.reject_coverage: found 0, allowed: a number"),
        (
            "evaluate",
            "reject_risk",
            0.01,
            "evaluate.reject_risk: found 0.01 with evaluate.reject_coverage 0.95, allowed: one of",
        ),
        (
            "runtime",
            "threads",
            100_000,
            "runtime.threads: found 100000, allowed: a whole number",
        ),
        pytest.param("train", "clip_norm", 10**400, "train.clip_norm: found 1000", id="clip_norm"),
        pytest.param(
            *("runtime", "checkpoint_seconds", 10**400, "runtime.checkpoint_seconds: found 1000"),
            id="checkpoint_seconds",
        ),
        ("lr_find", "max_lr", 2e-5, "lr_find.max_lr: found 2e-05, allowed: at least 4 x"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(tree, section, key, value, message):
    tree[section][key] = value
    with pytest.raises(ParamsError) as caught:
        parse_params(tree)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_sources_and_their_checksums_may_be_lists(tree):
    tree["data"] |= {"source": ["a", "b"], "sha256": [None, "f" * 64]}
    data = parse_params(tree).data
    assert (data.source, data.sha256) == (("a", "b"), (None, "f" * 64))
    tree["data"]["sha256"] = "f" * 64
    with pytest.raises(ParamsError, match=r"^data\.sha256: found 1 for 2 sources, allowed: a list"):
        parse_params(tree)


def test_an_unknown_key_is_named(tree):
    tree["train"]["learning_rate"] = 0.1
    with pytest.raises(ParamsError, match=r"^train\.learning_rate: unknown key, allowed: lr, "):
        parse_params(tree)


def test_a_missing_key_is_named(tree):
    del tree["train"]["lr"]
    with pytest.raises(ParamsError, match=r"^train\.lr: missing key, found head_lr, "):
        parse_params(tree)


def test_an_unknown_section_is_named(tree):
    tree["serve"] = {}
    with pytest.raises(ParamsError, match=r"^serve: unknown key, allowed: data, "):
        parse_params(tree)


def test_a_section_that_is_no_mapping_is_named(tree):
    tree["split"] = 3
    with pytest.raises(ParamsError, match=r"^split: found 3, allowed: a mapping"):
        parse_params(tree)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: 1\na: 2\n", "'a' is written twice"), ("a: [1\n", "cannot be read"), ("- 1", "a mapping")],
)
def test_a_file_that_is_no_params_file_gives_one_line(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=message) as caught:
        load_params(path)
    assert "\n" not in str(caught.value)


def test_whole_numbers_widen_to_numbers(tree):
    tree["train"]["lr"] = 1
    assert parse_params(tree).train.lr == 1.0
    assert isinstance(parse_params(tree).train.lr, float)
