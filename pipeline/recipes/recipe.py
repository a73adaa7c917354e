"""A recipe: values of params.yaml for one kind of job, in a file of its own."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import ParamsError
from pipeline.core.params import load_params, parse_params
from pipeline.core.yaml12 import parse_yaml
from pipeline.core.yaml_edit import PLAIN, Scalar, Value, with_values

FOLDER = Path("recipes")
PARAMS = Path("params.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What one file of `recipes/` says."""

    path: Path
    purpose: str
    """One line: the comment that the file begins with."""
    sections: dict[str, dict[str, Value]]
    """Values by section and key, as in params.yaml."""

    def settings(self) -> Iterator[tuple[str, Value]]:
        """Yield each `section.key` and its value."""
        for section, values in self.sections.items():
            for key, value in values.items():
                yield f"{section}.{key}", value

    def flags(self) -> list[str]:
        """Return the words `-S section.key=value ...` for `dvc exp run`, free of spaces.

        Raises:
            ParamsError: a text has other characters than the shell and DVC take as they stand.
        """
        words = []
        for name, value in self.settings():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and not PLAIN.fullmatch(text):
                    raise ParamsError(f"{self.path}: {name}: {text!r} cannot stand in a flag")
            words += ["-S", f"{name}={_in_a_flag(value)}"]
        return words


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of the recipes that there are, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_recipe(name: str, folder: Path = FOLDER) -> Recipe:
    """Read a recipe.

    Raises:
        ParamsError: there is none of that name, or its file is damaged.
    """
    if name not in (known := names(folder)):
        there = ", ".join(known) or f"none; run from the top folder, which has {folder}/"
        raise ParamsError(f"recipe {name!r}: unknown, there are: {there}")
    path = folder / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
        tree = parse_yaml(text)
    except (OSError, ValueError) as error:
        raise ParamsError(f"{path}: cannot be read: {error}; {_restore(path)}") from error
    purpose = text.partition("\n")[0]
    if not purpose.startswith("# "):
        raise ParamsError(f"{path}: the first line must say in a comment what it is for")
    if not _well_formed(tree):
        raise ParamsError(
            f"{path}: found no mapping of sections, each of keys and plain values; {_restore(path)}"
        )
    return Recipe(path=path, purpose=purpose.lstrip("# "), sections=tree)


def with_recipe(recipe: Recipe, params: Path = PARAMS) -> tuple[str, str]:
    """Return the text of params.yaml as it is, and with the values of a recipe.

    Raises:
        ParamsError: params.yaml is not valid, or would not be with the recipe.
    """
    load_params(params)
    text = params.read_text(encoding="utf-8")
    try:
        new = with_values(text, recipe.sections)
        parse_params(parse_yaml(new))
    except ParamsError as error:
        raise ParamsError(f"{recipe.path}: {error}") from error
    except ValueError as error:
        raise ParamsError(f"{recipe.path}: {params} cannot take it: {error}") from error
    return text, new


def difference(old: str, new: str) -> str:
    """Return the unified diff of two texts of params.yaml; empty where they are equal."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True),
        new.splitlines(keepends=True),
        *(str(PARAMS), f"{PARAMS}, with the recipe"),
        n=0,
    )
    return "".join(lines)


def _well_formed(tree: object) -> bool:
    return isinstance(tree, dict) and all(
        isinstance(values, dict) and all(_is_value(value) for value in values.values())
        for values in tree.values()
    )


def _is_value(value: object) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, Scalar) for item in items)


def _in_a_flag(value: Value) -> str:
    """Return a value as DVC reads it behind `-S key=`."""
    if isinstance(value, list):
        return f"[{','.join(map(_in_a_flag, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def _restore(path: Path) -> str:
    return f"restore it: git checkout {path}"
