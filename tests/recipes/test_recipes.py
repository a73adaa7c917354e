"""Every recipe fits the schema, says what it is for, and leaves nothing of the one before."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from dvc.utils.hydra import apply_overrides

from pipeline.core.params import load_params
from pipeline.modeling.layers import layer_groups
from pipeline.modeling.zoo import build_model
from pipeline.recipes.__main__ import command
from pipeline.recipes.recipe import names, read_recipe, with_recipe

NAMES = names()
COMMENT = re.compile(r"^\s*#.*$|\s#.*$", re.MULTILINE)


def test_the_recipes_of_the_typical_jobs():
    assert [
        *("cpu-20-minutes", "default", "fine-grained", "gpu", "lesson1", "quick-look", "vgg16")
    ] == NAMES


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml and the recipes, in which the command runs."""
    for path in (Path("params.yaml"), *Path("recipes").glob("*.yaml")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path.read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_params_with_a_recipe_are_valid_and_keep_every_comment(name, project):
    before = Path("params.yaml").read_text()
    assert command(["apply", name]) == 0
    after = Path("params.yaml").read_text()
    load_params()
    assert COMMENT.findall(after) == COMMENT.findall(before)
    wanted = yaml.safe_load(before)
    for section, values in yaml.safe_load(Path(f"recipes/{name}.yaml").read_text()).items():
        wanted[section] |= values
    assert yaml.safe_load(after) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is_for_what_it_costs_and_what_was_measured(name):
    head = Path(f"recipes/{name}.yaml").read_text().partition("\n\n")[0].splitlines()
    assert head[0].startswith("# ")
    assert head[1].startswith("# Cost: ")
    assert any(line.startswith("# Measured: ") for line in head)
    assert max(map(len, head)) <= 120


def test_one_recipe_after_another_leaves_nothing_of_the_first(project):
    committed = Path("params.yaml").read_text()
    keys = {name: {key for key, _ in read_recipe(name).settings()} for name in NAMES}
    assert len(set(map(frozenset, keys.values()))) == 1
    for name in NAMES:
        command(["apply", name])
    command(["apply", "default"])
    assert Path("params.yaml").read_text() == committed
    assert not any(key.startswith(("data.", "runtime.")) for key in keys["default"])


@pytest.mark.parametrize("name", NAMES)
def test_the_network_of_a_recipe_can_be_built_and_divided_into_its_layer_groups(name, project):
    command(["apply", name])
    params = load_params()
    with torch.device("meta"):  # no memory, no weights
        model = build_model(params.model.arch, n_classes=2)
        assert len(layer_groups(model, len(params.train.lr_factors))) == len(
            params.train.lr_factors
        )


def test_vgg16_keeps_its_convolutions_and_trains_its_linear_layers():
    with torch.device("meta"):
        model = build_model("vgg16", n_classes=2)
    recipe = dict(read_recipe("vgg16").settings())
    factors = recipe["train.lr_factors"]
    groups = layer_groups(model, len(factors))
    dimensions = {
        factor: {p.ndim for group, f in zip(groups, factors, strict=True) if f == factor
                 for p in group if p.ndim > 1}
        for factor in (0, 1)
    }  # fmt: skip
    assert dimensions == {0: {4}, 1: {2}}


def test_show_is_a_diff_that_changes_nothing(project, capsys):
    before = Path("params.yaml").read_text()
    assert command(["show", "lesson1"]) == 0
    shown = capsys.readouterr().out
    assert "-  arch: compact\n+  arch: resnet34\n" in shown
    assert Path("params.yaml").read_text() == before
    command(["apply", "lesson1"])
    after = Path("params.yaml").read_text()
    for sign, old, new in (("-", before, after), ("+", after, before)):
        marked = [line[1:] for line in shown.splitlines()[2:] if line[0] == sign]
        gone = [a for a, b in zip(old.splitlines(), new.splitlines(), strict=True) if a != b]
        assert marked == gone
    capsys.readouterr()
    assert command(["show", "lesson1"]) == 0
    assert capsys.readouterr().out == "params.yaml: has all values of lesson1 already\n"


def test_the_list_has_one_line_a_recipe(capsys):
    assert command([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert command(["list"]) == 0
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("name", NAMES)
def test_flags_are_words_that_a_shell_leaves_alone_and_dvc_reads_as_the_same_values(
    name, project, capsys
):
    command(["flags", name])
    text = capsys.readouterr().out
    words = text.split()
    assert words == shlex.split(text)
    assert set(words[::2]) == {"-S"}
    _, wanted = with_recipe(read_recipe(name))
    apply_overrides(Path("params.yaml"), words[1::2])  # what `dvc exp run -S` calls
    assert yaml.safe_load(Path("params.yaml").read_text()) == yaml.safe_load(wanted)


def lines_of_error(capsys, *arguments):
    assert command(arguments) == 1
    return capsys.readouterr().err.splitlines()


def test_what_is_wrong_is_one_line(project, capsys):
    before = Path("params.yaml").read_text()
    (line,) = lines_of_error(capsys, "apply", "lesson2")
    assert line.startswith("pipeline.recipes: error: recipe 'lesson2': unknown, there are: cpu-20")
    gpu = Path("recipes/gpu.yaml")
    whole = gpu.read_text()
    for text, said in (
        (whole + "\n[", "cannot be read: "),
        (whole.partition("\n\n")[0] + "\n", "found no mapping of sections"),
        (whole.partition("\n")[2].replace("# ", "#"), "the first line must say"),
        (whole.replace("epochs: 8", "epochs: many"), "train.epochs: found 'many', allowed: "),
        (whole.replace("epochs: 8", "epoch: 8"), "cannot take it: there is no train.epoch"),
        (whole.replace("epochs: 8", "epochs: {}"), "found no mapping of sections"),
    ):  # fmt: skip
        gpu.write_text(text)
        (line,) = lines_of_error(capsys, "apply", "gpu")
        assert said in line
        assert "recipes/gpu.yaml" in line
    gpu.write_text(whole)
    assert Path("params.yaml").read_text() == before
    Path("params.yaml").write_text(before.replace("epochs: 12", "epochs: twelve"))
    (line,) = lines_of_error(capsys, "apply", "gpu")
    assert "error: train.epochs: found 'twelve', allowed: a whole number" in line
    assert Path("params.yaml").read_text() == before.replace("epochs: 12", "epochs: twelve")
    Path("params.yaml").unlink()
    (line,) = lines_of_error(capsys, "show", "gpu")
    assert "params.yaml: not found; run from the repository's top folder" in line
