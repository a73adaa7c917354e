"""Named sets of parameters for typical jobs; params.yaml keeps its comments and layout."""

import argparse
import sys
from collections.abc import Sequence

from pipeline.core.arguments import OneLineParser, command_parser
from pipeline.core.atomic import write_text
from pipeline.core.process import guarded
from pipeline.recipes.recipe import PARAMS, difference, names, read_recipe, with_recipe

NAME = "pipeline.recipes"
DETAILS = f"""\
examples:
  python -m {NAME} show lesson1
  python -m {NAME} apply lesson1 && dvc repro
  dvc exp run $(python -m {NAME} flags lesson1)    params.yaml stays as it was committed
"""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's values."""
    parser = command_parser(NAME, description=__doc__, details=DETAILS)
    parser.set_defaults(do=lambda _: list_all())
    actions = parser.add_subparsers(metavar="ACTION", parser_class=OneLineParser)
    actions.add_parser("list", help="what there is (also without an action)")
    for word, do, text in (
        ("show", show, "what it would change in params.yaml"),
        ("apply", apply, "change params.yaml"),
        ("flags", flags, "the same as -S a=b ... for dvc exp run"),
    ):
        action = actions.add_parser(word, help=text)
        action.add_argument("recipe", metavar="NAME")
        action.set_defaults(do=do)
    return parser.parse_args(argv)


def list_all() -> None:
    """Print each recipe and what it is for."""
    width = max(map(len, names()), default=0)
    for name in names():
        print(f"{name:{width}}  {read_recipe(name).purpose}")


def show(name: str) -> None:
    """Print what a recipe would change."""
    old, new = with_recipe(read_recipe(name))
    print(difference(old, new).rstrip("\n") or f"{PARAMS}: has all values of {name} already")


def apply(name: str) -> None:
    """Write the values of a recipe into params.yaml."""
    old, new = with_recipe(read_recipe(name))
    if old != new:
        write_text(PARAMS, new)
    n_lines = sum(a != b for a, b in zip(old.splitlines(), new.splitlines(), strict=False))
    print(f"{PARAMS}: {name}: {n_lines} lines changed; run: dvc repro")


def flags(name: str) -> None:
    """Print a recipe as options of `dvc exp run`."""
    recipe = read_recipe(name)
    with_recipe(recipe)
    print(" ".join(recipe.flags()))


def command(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = parse(argv)
    return guarded(lambda: arguments.do(getattr(arguments, "recipe", "")), name=NAME)


if __name__ == "__main__":
    sys.exit(command())
