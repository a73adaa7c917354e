"""Learning rate x size x seed in DVC's queue, then accuracy against time in one picture.

Times are those that the train stage logs in the queue (`dvc queue logs NAME`): no tracked file
holds any, since runs must be equal to the byte. A run out of DVC's run cache has no time.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.arguments import command_parser, whole_number
from pipeline.core.atomic import write_bytes
from pipeline.core.errors import ArtifactError
from pipeline.core.process import JOBS, guarded
from pipeline.experiments.picture import draw, label_of
from pipeline.experiments.queue import drained, enqueue
from pipeline.experiments.runs import Run, finished_runs, varied

log = logging.getLogger(__name__)

NAME = "pipeline.experiments.sweep"
PICTURE = Path("reports/sweep.png")
DETAILS = f"""\
examples:
  python -m {NAME}                                      8 short runs
  python -m {NAME} --lr 0.02,0.05,0.1 --sizes 64 --seeds 5 --epochs 12
  python -m {NAME} --draw                               only draw what there is

Each run goes as far as evaluate; after dvc exp apply NAME, dvc repro makes the rest.
"""
UNDRAWN = (
    f"nothing is drawn, since none of these runs trained; run: python -m {NAME} with other "
    "--lr, --sizes or --epochs, which trains, or with --draw, which draws earlier runs too"
)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's values."""
    parser = command_parser(NAME, description=__doc__, details=DETAILS)
    add = parser.add_argument
    add("--lr", default="0.03,0.1", help="peak learning rates (%(default)s)")
    add("--sizes", default="32,64", help="sides of the training crops, px (%(default)s)")
    add("--seeds", type=whole_number, default=2, help="seeds of each (%(default)s)")
    add("--epochs", type=whole_number, default=3, help="(%(default)s)")
    add("--jobs", type=whole_number, default=1, help="queue workers; more blur the times (1)")
    add("--draw", action="store_true", help="run nothing, draw the finished experiments")
    add("--out", metavar="FILE", type=Path, default=PICTURE, help="(%(default)s)")
    return parser.parse_args(argv)


def main(arguments: argparse.Namespace) -> None:
    """Queue the runs, wait for them, draw them."""
    names: list[str] = []
    if not arguments.draw:
        names = enqueue(
            {
                "train.lr": arguments.lr,
                "train.sizes_px": ",".join(f"[{px}]" for px in arguments.sizes.split(",")),
                "train.seed": ",".join(map(str, range(arguments.seeds))),
                "train.epochs": str(arguments.epochs),
            }
        )
        drained(names, jobs=arguments.jobs)
    show(finished_runs(names), out=arguments.out)


def show(runs: Sequence[Run], *, out: Path) -> None:
    """Print the accuracies of all runs, and draw those whose time is known.

    Raises:
        ArtifactError: there is no run.
    """
    if not runs:
        raise ArtifactError(
            f"no experiment of this commit was evaluated; run: python -m {NAME}, or "
            f"{JOBS}=1 dvc queue start -j 1 if some are queued"
        )
    known = timed(runs)
    if known:
        write_bytes(out, draw(known))
    keys = varied(known or runs)  # as in the picture's legend
    for run in sorted(runs, key=lambda run: -run.accuracy):
        took = f"{'no time':>8}" if run.seconds is None else f"{run.seconds:6.1f} s"
        print(
            f"{run.name:16} {run.accuracy:.4f} ({run.low:.4f} to {run.high:.4f}) "
            f"{took}  {label_of(run, keys)}"
        )
    print(f"{out}: {len(known)} runs" if known else UNDRAWN)


def timed(runs: Sequence[Run]) -> list[Run]:
    """Return the runs whose time is known."""
    known = [run for run in runs if run.seconds is not None]
    if len(known) < len(runs):
        log.warning(
            "%d of %d runs have no time, since they came out of the run cache or did not run in "
            "the queue; they are not drawn",
            *(len(runs) - len(known), len(runs)),
        )
    return known


def command(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = parse(argv)
    return guarded(lambda: main(arguments), name=NAME)


if __name__ == "__main__":
    sys.exit(command())
