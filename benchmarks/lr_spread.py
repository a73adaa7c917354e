"""How far apart the suggestions of lr_find lie from seed to seed, and what each costs.

    python -m benchmarks.lr_spread --source PATH_OF_AN_ARCHIVE --arch resnet18 --optimizer adamw

Every suggestion is one of the stage lr_find, on the same images with seeds of its own: a coarse
sweep and as many fine ones as params.yaml says, none of them shared. Prints each, with the edges of
the coarse sweep and of the fine ones, and for every rule largest over smallest: the rules of the
field are read off the coarse sweep unless they are asked for (`--lr-find rule=steepest`). `trained`
is what train would take, the default rate where lr_find has no answer. The clock counts seconds of
CPU.
"""

import argparse
import logging
import statistics
import sys
import time
from dataclasses import replace

from benchmarks.projects import (
    add_network_arguments,
    packed_project,
    params_of_network,
    read_changes,
)
from pipeline.core.artifacts import read_json, read_suggestion
from pipeline.core.params import LrFindParams
from stages import lr_find


def main() -> None:
    """Measure and print, a line per suggestion."""
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    changes = read_changes(arguments.lr_find, LrFindParams, name="lr_find")
    params = params_of_network(arguments)
    params = replace(params, lr_find=replace(params.lr_find, **changes))
    with packed_project(params) as layout:
        found: dict[str, list[float | None]] = {}
        seconds, answered = [], 0
        for number in range(arguments.suggestions):
            seed = arguments.first_seed + number * (1 + params.lr_find.sweeps)
            start = time.process_time()
            lr_find.run(replace(params, lr_find=replace(params.lr_find, seed=seed)), layout)
            seconds.append(time.process_time() - start)
            rules = read_json(layout.lr_rules, stage="lr_find")["whole"]
            suggestion = read_suggestion(layout.suggestion)
            answered += suggestion.status == "ok"
            for rule, lr in {"trained": suggestion.lr, **rules["rules"]}.items():
                found.setdefault(rule, []).append(lr)
            edges = f"edges {rules['coarse_edge']}: {rules['edges']}"
            print(
                f"seed {seed:3d}  {suggestion.status:8s} trained {suggestion.lr:<8g} {edges}  "
                f"{rules['rules']}  {seconds[-1]:.1f} CPU s",
                flush=True,
            )
    name = f"{arguments.arch}, {params.train.optimizer}, {arguments.size_px} px"
    print(f"{name}: ok {answered} of {arguments.suggestions}, ", end="")
    print(f"median {statistics.median(seconds):.1f} CPU s a suggestion")
    for rule, rates in found.items():
        print(f"  {rule:9s} {_described(rates)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_network_arguments(parser)
    parser.add_argument("--suggestions", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--lr-find", default="", help="changes of params: NAME=VALUE;NAME=VALUE")
    return parser.parse_args()


def _described(rates: list[float | None]) -> str:
    known = [rate for rate in rates if rate is not None]
    if not known:
        return "no answer"
    return (
        f"{len(known)} answers, median {statistics.median(known):.2g} ({min(known):.2g} to "
        f"{max(known):.2g}), largest over smallest {max(known) / min(known):.2f}"
    )


if __name__ == "__main__":
    main()
