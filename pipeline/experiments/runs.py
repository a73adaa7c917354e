"""Finished experiments, as `dvc exp show` and the logs of DVC's queue tell of them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import ArtifactError

METRICS = "reports/evaluate/metrics.json"
TRAIN_METRICS = "reports/train/metrics.json"
TOOK = re.compile(r"^INFO train: done in ([0-9.]+) s$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One finished experiment."""

    name: str
    params: dict[str, Any]
    """Values by `section.key`."""
    accuracy: float
    low: float
    """Ends of its 95 % interval."""
    high: float
    n: int
    threads: int
    seconds: float | None
    """Wall-clock time of the train stage; None if it came out of the run cache."""


def dvc(*words: str) -> str:
    """Run a DVC command of this environment; return what it printed.

    Raises:
        ArtifactError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise ArtifactError(f"dvc {' '.join(words[:2])} failed: {last}")
    return done.stdout


def finished_runs(names: Sequence[str] = ()) -> list[Run]:
    """Return the experiments of the current commit that were evaluated.

    Args:
        names: only these; none are all.

    Raises:
        ArtifactError: `dvc exp show` does not work here.
    """
    found = read_runs(json.loads(dvc("exp", "show", "--json")))
    return [run for run in found if not names or run.name in names]


def read_runs(shown: Sequence[Any]) -> list[Run]:
    """Return the evaluated experiments in the JSON of `dvc exp show`."""
    return [
        run
        for baseline in shown
        for experiment in baseline.get("experiments") or ()
        for revision in experiment["revs"][:1]  # the newest
        if (run := _run(experiment["name"], revision.get("data") or {})) is not None
    ]


def varied(runs: Sequence[Run]) -> list[str]:
    """Return the parameters in which runs differ, seeds left out."""
    keys = sorted({key for run in runs for key in run.params})
    return [
        key
        for key in keys
        if not key.endswith("seed") and len({json.dumps(run.params.get(key)) for run in runs}) > 1
    ]


def seconds_in(log: str) -> float | None:
    """Return how long the train stage took, from a task's log; None if it did not run."""
    found = TOOK.findall(log)
    return float(found[-1]) if found else None


def _run(name: str, data: dict[str, Any]) -> Run | None:
    metrics = data.get("metrics") or {}
    found = (metrics.get(METRICS) or {}).get("data") or {}
    if "accuracy" not in found:
        return None
    params = ((data.get("params") or {}).get("params.yaml") or {}).get("data") or {}
    trained = (metrics.get(TRAIN_METRICS) or {}).get("data") or {}
    return Run(
        name=name,
        params=dict(_flat(params)),
        accuracy=found["accuracy"],
        low=found["accuracy_low"],
        high=found["accuracy_high"],
        n=found["n"],
        threads=trained.get("threads", 0),
        seconds=_seconds(name),
    )


def _seconds(name: str) -> float | None:
    try:
        return seconds_in(dvc("queue", "logs", name))
    except ArtifactError:  # it did not run in the queue
        return None


def _flat(sections: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for section, values in sections.items():
        for key, value in values.items():
            yield f"{section}.{key}", value
