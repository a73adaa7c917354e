"""A stage ends with the DVC that runs it.

A DVC that is killed leaves its stage running. The next `dvc repro` would start the same stage
beside it, and the old one, being last, might write over what the new one made. So the system is
asked for a SIGTERM when DVC dies, upon which every stage leaves cleanly, and train saves its state.
"""

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
REAPERS = ("systemd", "init", "tini", "dumb-init", "docker-init", "catatonit")
"""What takes in the children of the dead, where it is not process 1."""


def end_with_dvc() -> None:
    """Ask for SIGTERM when DVC dies; leave at once if it died while modules were imported.

    Does nothing if DVC did not start this process, or the system is not Linux.

    Raises:
        SystemExit: DVC is gone; the status is that of SIGTERM.
    """
    if "DVC_STAGE" not in os.environ:
        return
    with suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if _is_orphan():
        raise SystemExit(128 + signal.SIGTERM)


def _is_orphan() -> bool:
    """Tell whether the parent is one that takes in orphans, and is not running DVC itself."""
    parent = Path("/proc", str(os.getppid()))
    try:
        name, command = (parent / "comm").read_text().strip(), (parent / "cmdline").read_bytes()
    except OSError:  # no such system; or gone this moment, and the signal is on its way
        return False
    # In a container process 1 may be DVC, or a program that uses it as a library.
    runs_dvc = b"dvc" in command or b"python" in command
    return (os.getppid() == 1 or name in REAPERS) and not runs_dvc
