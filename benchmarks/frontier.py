"""Accuracy against training time, from scratch: several lengths of training, several seeds.

    python -m benchmarks.frontier --source PATH_OF_AN_ARCHIVE --seeds 3
    python -m benchmarks.frontier --source ... --runs "5:sizes_px=40,56" "12:" "28:sizes_px=64"

A run is a number of epochs and changes of the section `train` of params.yaml. Each is a training by
the stages themselves (range test, training, evaluation) on the same split, whose test images play
no part in choosing anything. The clock is that of the train stage: seconds on the wall, and seconds
of CPU divided by the cores, which is what it would take on a machine with nothing else to do.
"""

import argparse
import logging
import platform
import statistics
import sys
import time
from dataclasses import replace

import torch

from benchmarks.projects import packed_project, read_changes, with_source
from pipeline.core.artifacts import read_json
from pipeline.core.layout import Layout
from pipeline.core.params import Params, TrainParams, load_params
from pipeline.core.process import available_cores
from stages import evaluate, lr_find, train

RUNS = ("5:sizes_px=40,56", "12:", "26:sizes_px=48,64", "40:sizes_px=48,64,80")


def main() -> None:
    """Measure and print, a line per training."""
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    params = _params(arguments)
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, "
        f"{available_cores()} cores, seeds {arguments.first_seed} to "
        f"{arguments.first_seed + arguments.seeds - 1}",
        flush=True,
    )
    with packed_project(params) as layout:
        for text in arguments.runs:
            found = [
                _trained(with_changes(params, text, seed=seed), layout, name=text)
                for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds)
            ]
            _print_mean(text, found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", required=True, help="an archive or folder")
    parser.add_argument("--runs", nargs="+", default=RUNS, help="EPOCHS:NAME=VALUE;NAME=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--size-px", type=int, default=96, help="side of the packed images")
    parser.add_argument("--valid-fraction", type=float, default=0.05)
    parser.add_argument("--test-fraction", type=float, default=0.15)
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def _params(arguments: argparse.Namespace) -> Params:
    params = with_source(load_params(), arguments.source)
    return replace(
        params,
        split=replace(
            params.split,
            valid_fraction=arguments.valid_fraction,
            test_fraction=arguments.test_fraction,
        ),
        pack=replace(params.pack, size_px=arguments.size_px),
        evaluate=replace(params.evaluate, tta="flip"),
        runtime=replace(params.runtime, threads=arguments.threads),
    )


def with_changes(params: Params, text: str, *, seed: int) -> Params:
    """Apply a run's changes, written as `EPOCHS:NAME=VALUE;NAME=VALUE`."""
    epochs, _, rest = text.partition(":")
    changes = {
        "epochs": int(epochs),
        "seed": seed,
        **read_changes(rest, TrainParams, name="train"),
    }
    lr = replace(params.lr_find, seed=params.lr_find.seed + 100 * seed)
    return replace(params, train=replace(params.train, **changes), lr_find=lr)


def _trained(params: Params, layout: Layout, *, name: str) -> dict[str, float]:
    lr_find.run(params, layout)
    wall, cpu = time.monotonic(), time.process_time()
    train.run(params, layout)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    evaluate.run(params, layout)
    metrics = read_json(layout.metrics, stage="evaluate")
    chosen = read_json(layout.train_metrics, stage="train")
    flip = metrics["flip_tta"]["accuracy"]
    cpu /= params.runtime.threads or available_cores()
    print(
        f"{name:28s} seed {params.train.seed}  lr {chosen['lr']:<7g} wall {wall:6.0f} s  "
        f"cpu/core {cpu:6.0f} s  epoch {chosen['kept_epoch']:3d} kept  train loss "
        f"{chosen['train_loss']:.3f}  valid {chosen['valid_accuracy']:.4f}  test "
        f"{metrics['accuracy']:.4f}  flip {flip:.4f}  n {metrics['n']}",
        flush=True,
    )
    return {"wall": wall, "cpu": cpu, "accuracy": metrics["accuracy"], "flip": flip}


def _print_mean(name: str, found: list[dict[str, float]]) -> None:
    def spread(key: str) -> str:
        values = [each[key] for each in found]
        return f"{statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"

    print(
        f"{name:28s} mean of {len(found)}: cpu/core "
        f"{statistics.mean(each['cpu'] for each in found):.0f} s, test {spread('accuracy')}, "
        f"flip {spread('flip')}",
        flush=True,
    )


if __name__ == "__main__":
    main()
