"""Experiments put into DVC's queue, and waited for."""

import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.core.errors import TrainingError
from pipeline.core.process import JOBS
from pipeline.core.progress import Progress
from pipeline.experiments.runs import dvc

QUEUED = re.compile(r"Queued experiment '([^']+)'")
TASK = re.compile(r"^[0-9a-f]{7}  +(\S+)  .*\b(Queued|Running|Success|Failed)\s*$", re.MULTILINE)
POLL_S = 2.0


def enqueue(overrides: Mapping[str, str]) -> list[str]:
    """Queue one experiment for each combination of values; return their names.

    Args:
        overrides: what stands behind `-S key=`: one value, or several with commas between them.
    """
    flags = [word for key, value in overrides.items() for word in ("-S", f"{key}={value}")]
    return QUEUED.findall(dvc("exp", "run", "--queue", "evaluate", *flags))


def drained(names: Sequence[str], *, jobs: int) -> None:
    """Run the queue with so many workers until the named experiments are done.

    Raises:
        TrainingError: one failed, or the workers have gone.
    """
    os.environ[JOBS] = str(jobs)  # the workers inherit it, their stages too
    dvc("queue", "start", "-j", str(jobs))
    done = 0
    with Progress("sweep", total=len(names), unit="runs") as progress:
        while done < len(names):
            states = states_in(dvc("queue", "status"))
            failed = [name for name in names if states.get(name) == "Failed"]
            if failed:
                raise TrainingError(
                    f"{', '.join(failed)}: failed; see: dvc queue logs {failed[0]}, mend it, then: "
                    "dvc queue remove --failed, and queue it again"
                )
            now = Counter(states.get(name, "Success") for name in names)["Success"]
            progress.advance(now - done)
            done = now
            if done < len(names):
                time.sleep(POLL_S)


def states_in(status: str) -> dict[str, str]:
    """Return the state of each named task in the output of `dvc queue status`."""
    return dict(TASK.findall(status))
