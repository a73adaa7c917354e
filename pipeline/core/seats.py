"""Who computes where on this machine: one process a GPU, and a word where CPU cores are shared.

The locks lie in the machine's folder for temporary files, not in the repository: queued experiments
run in copies of it, and another repository's training is no better company on a GPU.
"""

import logging
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from pipeline.core.errors import ArtifactError
from pipeline.core.locks import first_free, holder, try_lock
from pipeline.core.process import JOBS, usable_cores

log = logging.getLogger(__name__)


def claim(uuids: Sequence[str]) -> int:
    """Lock the first of these GPUs that is free, for as long as this process lives.

    While none is free this waits, and says for whom.

    Args:
        uuids: names of the GPUs, the same to every process of the machine.

    Returns:
        The index of the one that was taken.

    Raises:
        ArtifactError: the folder for temporary files cannot be used.
    """

    def tell(holders: Sequence[int | None]) -> None:
        named = " and ".join(map(_named, holders))
        log.warning("waiting for the GPU, which is in use by %s; Ctrl-C ends the waiting", named)

    return first_free([_seat(f"gpu-{uuid}") for uuid in uuids], on_wait=tell)


def notice_company(threads: int) -> None:
    """Say so if another training runs on this machine's CPU and the cores are too few for both.

    Args:
        threads: those of this process.
    """
    company = _company()
    if company and threads > usable_cores() // 2:
        log.warning(
            "%s computes on these %d cores too: each gets a share of them, and loses a fifth of it "
            "to threads that wait; for N queue workers run %s=N dvc queue start -j N, or set "
            "runtime.threads",
            *(company, usable_cores(), JOBS),
        )


@cache  # a second look would find this process itself
def _company() -> str:
    """Return who else computes on the CPU; the first to come keeps the seat until its end."""
    seat = _seat("cpu")
    with suppress(ArtifactError):
        if try_lock(seat) is None:
            return _named(holder(seat))
    return ""


def _named(pid: int | None) -> str:
    return f"process {pid}" if pid else "another process"


def _seat(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"lesson1-{name}"
