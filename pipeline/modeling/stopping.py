"""SIGTERM and Ctrl-C while a network is trained: end the step, save, leave within ten seconds."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

log = logging.getLogger(__name__)

PATIENCE_S = 6.0
"""How long a step may go on after the signal before the training is left as it stands."""
LAST_S = 9.0
"""After this the process ends even if an operation does not return."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass
class StopRequest:
    """Whether somebody wants the training to stop."""

    signum: int | None = None
    _timer: threading.Timer | None = field(default=None, repr=False)

    @property
    def status(self) -> int:
        """Exit status that shells expect: 143 for SIGTERM, 130 for Ctrl-C."""
        return 128 + (self.signum or 0)

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """Note the first signal and give the step time to end; the second one leaves at once."""
        if self.signum is not None:
            raise SystemExit(self.status)
        self.signum = signum
        signal.signal(signal.SIGALRM, self._out_of_patience)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
        self._timer = threading.Timer(LAST_S, os._exit, (self.status,))
        self._timer.daemon = True
        self._timer.start()

    def release(self) -> None:
        """Stop the clocks."""
        if self.signum is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._timer is not None:
            self._timer.cancel()

    def _out_of_patience(self, signum: int, frame: FrameType | None) -> None:
        log.warning(
            "this step takes too long to wait for; the next run continues from the last save"
        )
        raise SystemExit(self.status)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Yield a request that SIGTERM or Ctrl-C fills in, instead of ending the process, in the block.

    Only the main thread is given signals; in another one the block does nothing.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {signum: signal.signal(signum, request.receive) for signum in SIGNALS}
    alarm = signal.getsignal(signal.SIGALRM)
    try:
        yield request
    finally:
        request.release()
        signal.signal(signal.SIGALRM, alarm or signal.SIG_DFL)
        for signum, handler in before.items():
            signal.signal(signum, handler or signal.SIG_DFL)
