"""dvc.yaml says exactly what the code does: commands, code, parameters, files."""

import ast
import dataclasses
from pathlib import Path

import pytest
import yaml

from pipeline.core.params import Params

STAGES = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
NAMES = [
    *("download", "split", "pack", "lr_find"),
    *("train", "evaluate", "export_onnx", "report", "card"),
]
SECTIONS = {f.name: f.type for f in dataclasses.fields(Params)}


def code_of(dotted: str) -> Path | None:
    """Return the file of a module of ours."""
    base = Path(*dotted.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file() and path.parts[0] in ("pipeline", "stages"):
            return path
    return None


def import_closure(path: Path) -> set[Path]:
    """Return every file of ours that running `path` imports."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for node in ast.walk(ast.parse(current.read_text())):
            dotted = []
            if isinstance(node, ast.ImportFrom) and node.module:
                dotted = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            elif isinstance(node, ast.Import):
                dotted = [alias.name for alias in node.names]
            waiting += [found for name in dotted if (found := code_of(name))]
    return seen


def code_unit(path: Path) -> str:
    """Return what dvc.yaml lists for a file: a sub-package as a whole, a stage alone."""
    return "/".join(path.parts[:2])


def params_used(path: Path) -> set[str]:
    """Return each `section.key` that a stage's source reads; a section as a whole is all keys."""
    used, sections = set(), dict[ast.AST, str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Attribute):
            continue
        if isinstance(node.value, ast.Name) and node.value.id == "params":
            sections.setdefault(node, node.attr)
        if isinstance(node.value, ast.Attribute):
            inner = node.value
            if isinstance(inner.value, ast.Name) and inner.value.id == "params":
                used.add(f"{inner.attr}.{node.attr}")
                sections[inner] = ""
    return used | {
        f"{name}.{field.name}"
        for name in filter(None, sections.values())
        for field in dataclasses.fields(SECTIONS[name])
    }


def params_listed(stage: dict) -> set[str]:
    """Return each `section.key` that dvc.yaml lists, whole sections spelled out."""
    listed = set()
    for name in stage.get("params", []):
        if "." in name:
            listed.add(name)
        else:
            listed.update(f"{name}.{f.name}" for f in dataclasses.fields(SECTIONS[name]))
    return listed


def files_written(stage: dict) -> set[str]:
    entries = [*stage.get("outs", []), *stage.get("metrics", [])]
    return {next(iter(e)) if isinstance(e, dict) else e for e in entries}


def test_the_nine_stages_in_order():
    assert list(STAGES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_runs_as_a_module(name):
    # `python -m`: a queued experiment then imports its own checkout.
    assert STAGES[name]["cmd"] == f"python -m stages.{name}"


@pytest.mark.parametrize("name", NAMES)
def test_code_deps_are_the_import_closure(name):
    closure = import_closure(Path("stages", f"{name}.py"))
    packages = {Path("pipeline/__init__.py"), Path("stages/__init__.py")}
    needed = {code_unit(path) for path in closure - packages}
    listed = {d for d in STAGES[name]["deps"] if d.startswith(("pipeline/", "stages/"))}
    assert listed == needed


@pytest.mark.parametrize("name", NAMES)
def test_params_listed_are_the_params_used(name):
    used = params_used(Path("stages", f"{name}.py"))
    assert params_listed(STAGES[name]) == {k for k in used if not k.startswith("runtime.")}


@pytest.mark.parametrize("name", NAMES)
def test_the_stage_reads_params_in_no_other_way(name):
    tree = ast.parse(Path("stages", f"{name}.py").read_text())
    bare = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "params" and isinstance(node.ctx, ast.Load)
    ]
    by_section = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "params"
        and node.attr in SECTIONS
    ]
    handed_on = [  # whole, to a function of the same file, where it is looked at as well
        node
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        for node in call.args
        if isinstance(node, ast.Name) and node.id == "params"
    ]
    assert len(bare) == len(by_section) + len(handed_on)


def test_every_parameter_is_listed_by_some_stage_and_runtime_by_none():
    listed = set().union(*(params_listed(stage) for stage in STAGES.values()))
    every = {
        f"{section}.{field.name}"
        for section, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
    }
    assert every - listed == {f"runtime.{f.name}" for f in dataclasses.fields(SECTIONS["runtime"])}


@pytest.mark.parametrize("name", NAMES)
def test_no_uncached_out_switches_off_the_run_cache(name):
    for entry in STAGES[name]["outs"]:
        assert isinstance(entry, str), f"{entry}: outs take no options here"
    assert not {"persist", "always_changed", "frozen", "wdir"} & set(STAGES[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_says_what_dvc_yaml_says(name):
    text = ast.get_docstring(ast.parse(Path("stages", f"{name}.py").read_text()))
    reads = text.partition("Reads")[2].partition("Writes")[0].replace(",", " ").split()
    writes = text.partition("Writes")[2].partition("Params")[0].replace(",", " ").split()
    data = {d for d in STAGES[name]["deps"] if not d.startswith(("pipeline/", "stages/"))}
    assert set(writes) == files_written(STAGES[name])
    if data:
        assert set(reads) == data


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_files_opened_are_deps_and_files_left_are_outs(tiny_run, name):
    run = tiny_run.run_recorded(name)
    data = {d for d in STAGES[name]["deps"] if not d.startswith(("pipeline/", "stages/"))}
    outs = files_written(STAGES[name])

    def owner(path: str, names: set[str]) -> str:
        return next((n for n in names if path == n or path.startswith(n + "/")), path)

    code = ("pipeline/", "stages/", "params.yaml")
    read = {owner(path, data) for path in run.read if not path.startswith(code)}
    own = {path for path in read if owner(path, outs) in outs or "/.tmp-" in path}
    assert read - own == data
    assert {owner(path, outs) for path in run.left} == outs
