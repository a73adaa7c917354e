"""Accuracy against training time of many runs, as one picture."""

import io
import json
from collections import defaultdict
from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure

from pipeline.experiments.runs import Run, varied

MARKERS = "osD^vP*X"


def label_of(run: Run, keys: Sequence[str]) -> str:
    """Return what tells a run from the others: the values of `keys`."""
    return ", ".join(f"{key.partition('.')[2]} {json.dumps(run.params.get(key))}" for key in keys)


def draw(runs: Sequence[Run]) -> bytes:
    """Return a PNG: a point a run, at its training time and accuracy, with its 95 % interval.

    Runs that differ in nothing but seeds have one colour.

    Args:
        runs: at least one; all with a known time.
    """
    groups: dict[str, list[Run]] = defaultdict(list)
    keys = varied(runs)
    for run in runs:
        groups[label_of(run, keys)].append(run)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for index, (label, members) in enumerate(sorted(groups.items())):
        axes.errorbar(
            [run.seconds or 0 for run in members],
            [run.accuracy for run in members],
            yerr=[
                [run.accuracy - run.low for run in members],
                [run.high - run.accuracy for run in members],
            ],
            fmt=MARKERS[index % len(MARKERS)],
            color=f"C{index % 10}",
            capsize=3,
            elinewidth=1,
            label=label or "all alike",
        )
    sizes = sorted({run.n for run in runs})
    threads = sorted({run.threads for run in runs})
    axes.set_xlim(0, 1.06 * max(run.seconds or 0 for run in runs))
    axes.set_xlabel(f"training, s of wall-clock time; threads: {_list(threads)}")
    axes.set_ylabel("test accuracy")
    axes.set_title(
        f"{len(runs)} runs; bars: 95 % Wilson intervals, n = {_list(sizes)} test images",
        fontsize=10,
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _list(numbers: Sequence[int]) -> str:
    return " or ".join(map(str, numbers))
