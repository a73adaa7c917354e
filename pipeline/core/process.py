"""How a process starts, ends and fails: one line each."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import FrameType

from pipeline.core.errors import InstallationError, ParamsError, PipelineError

log = logging.getLogger(__name__)

JOBS = "LESSON1_JOBS"
"""Environment variable: how many processes share this machine's cores, as queue workers do."""


def guarded(main: Callable[[], None], *, name: str) -> int:
    """Call `main` with logging and signals set up; return the exit status."""
    start_logging()
    signal.signal(signal.SIGTERM, _terminate)
    start = time.monotonic()
    try:
        check_installation()
        main()
    except PipelineError as error:
        print(f"{name}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted; nothing was half-written", file=sys.stderr)
        return 130
    log.info("%s: done in %.1f s", name, time.monotonic() - start)
    return 0


def start_logging() -> None:
    """Send log records to stderr as plain lines."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpcore", "onnxscript", "onnx_ir", "torch.onnx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def check_installation() -> None:
    """Check that at most one ONNX Runtime is installed: both wheels own the same folder."""
    found = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    if len(found) > 1:
        raise InstallationError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; "
            "run: pip uninstall -y onnxruntime onnxruntime-gpu, then make setup"
        )


@contextmanager
def signals_held() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block has ended: for what must not be left half-done.

    Only the main thread hears signals; in any other one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []

    def hear(number: int, _: FrameType | None) -> None:
        heard.append(number)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler or signal.SIG_DFL)
        for number in heard[:1]:
            signal.raise_signal(number)


def usable_cores() -> int:
    """Return how many cores the system lets this process use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_cores() -> int:
    """Return this process's share of the usable cores: all, unless `JOBS` says that others run too.

    Raises:
        ParamsError: that environment variable is not a whole number of at least 1.
    """
    text = os.environ.get(JOBS, "").strip() or "1"
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ParamsError(
            f"environment variable {JOBS}: found {text!r}, allowed: how many processes share this "
            "machine's cores, at least 1"
        )
    return max(1, usable_cores() // int(text))


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _terminate(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise SystemExit(128 + signum)
