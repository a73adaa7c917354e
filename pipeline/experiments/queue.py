"""Experiments put into DVC's queue, and waited for."""

import logging
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.core.errors import TrainingError
from pipeline.core.process import JOBS
from pipeline.core.progress import Progress
from pipeline.experiments.runs import dvc

log = logging.getLogger(__name__)

QUEUED = re.compile(r"Queued experiment '([^']+)'")
TASK = re.compile(r"^[0-9a-f]{7}  +(\S+)  .*\b(Queued|Running|Success|Failed)\s*$", re.MULTILINE)
IDLE = re.compile(r"^Worker status: 0 active, 0 idle", re.MULTILINE)
POLL_S = 2.0
WORKERS_S = 60.0
"""A worker may take a while to begin."""


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
    log.info("Ctrl-C ends the waiting, not the runs; these end by: dvc queue stop --kill")
    done, seen_at = 0, time.monotonic()
    with Progress("sweep", total=len(names), unit="runs") as progress:
        while done < len(names):
            status = dvc("queue", "status")
            states = Counter(_states(names, status).values())
            progress.advance(states["Success"] - done)
            done = states["Success"]
            if not IDLE.search(status):
                seen_at = time.monotonic()
            elif done < len(names) and time.monotonic() - seen_at > WORKERS_S:
                raise TrainingError(f"the queue has no workers; run: {JOBS}=1 dvc queue start -j 1")
            if done < len(names):
                time.sleep(POLL_S)


def _states(names: Sequence[str], status: str) -> dict[str, str]:
    """Return the state of each named task.

    Raises:
        TrainingError: one failed.
    """
    found = states_in(status)
    failed = [name for name in names if found.get(name) == "Failed"]
    if failed:
        raise TrainingError(
            f"{', '.join(failed)}: failed; see: dvc queue logs {failed[0]}, mend it, then: "
            "dvc queue remove --failed, and queue it again"
        )
    return {name: found.get(name, "Success") for name in names}


def states_in(status: str) -> dict[str, str]:
    """Return the state of each named task in the output of `dvc queue status`."""
    return dict(TASK.findall(status))
