"""Is the suggestion of lr_find right? Trainings at it and at rates around it.

    python -m benchmarks.lr_grid --source PATH_OF_AN_ARCHIVE --arch resnet18 --optimizer sgd

The rates are the suggestion times 1/4, 1/2, 1, 2 and 4. All trainings of a seed begin with the same
weights, see the same batches and follow the linear schedule of params.yaml; a quarter of the images
is for validation. Prints accuracy and loss of the last epoch, and how far the suggestion lies below
the best of the grid.
"""

import argparse
import logging
import statistics
import sys
from dataclasses import replace

from benchmarks.projects import add_network_arguments, packed_project, params_of_network
from pipeline.core.artifacts import EpochRecord, read_records, read_suggestion
from pipeline.core.errors import TrainingError
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.packing.packed import read_packed
from stages import lr_find, train

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)


def main() -> None:
    """Measure and print, a line per training."""
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    params = params_of_network(arguments)
    params = replace(
        params,
        split=replace(params.split, valid_fraction=0.25, test_fraction=0.05),
        train=replace(params.train, epochs=arguments.epochs, patience=None),
    )
    with packed_project(params) as layout:
        n_valid = len(read_packed(layout.packed, workers=1).valid)
        lr_find.run(params, layout)
        suggestion = read_suggestion(layout.suggestion)
        print(
            f"{arguments.arch}, {arguments.optimizer}, {arguments.size_px} px, {arguments.epochs} "
            f"epochs, n = {n_valid}: suggestion {suggestion.lr:g}, {suggestion.status}",
            flush=True,
        )
        means = {
            factor: statistics.mean(
                _trained(params, layout, lr=factor * suggestion.lr, seed=seed)
                for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds)
            )
            for factor in arguments.factors
        }
        _print_means(means, suggestion.lr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_network_arguments(parser)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS)
    return parser.parse_args()


def _trained(params: Params, layout: Layout, *, lr: float, seed: int) -> float:
    """Return the validation accuracy after the last epoch; 0 if the loss exploded."""
    try:
        train.run(replace(params, train=replace(params.train, lr=lr, seed=seed)), layout)
    except TrainingError as error:
        print(f"lr {lr:<9.3g} seed {seed}  {error}", flush=True)
        return 0.0
    last = read_records(layout.history, EpochRecord, stage="train")[-1]
    print(
        f"lr {lr:<9.3g} seed {seed}  train loss {last.train_loss:.3f}  valid loss "
        f"{last.valid_loss:.3f}  valid accuracy {last.valid_accuracy:.4f}",
        flush=True,
    )
    return last.valid_accuracy


def _print_means(means: dict[float, float], lr: float) -> None:
    for factor, accuracy in means.items():
        print(f"{factor:5.2f} x {lr:g}: {100 * accuracy:.1f} %")
    if 1.0 in means:
        below: float = 100 * (max(means.values()) - means[1.0])
        print(f"the suggestion lies {below:.1f} points below the best of the grid")


if __name__ == "__main__":
    main()
