"""What one client may take from the others: bytes, seconds, places in the queue."""

import resource
from dataclasses import dataclass

SPARE_FILES = 48  # descriptors that are no client's: model, log, event loop, the listening socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a server; beyond each of them a request is refused with its own status."""

    body_bytes: int = 10 * 2**20
    """Largest body: 413."""
    buffered_bytes: int = 256 * 2**20
    """All bodies in memory together: 503."""
    waiting: int = 64
    """Requests between their last byte and their answer: 503."""
    header_s: float = 10.0
    """Until the headers are complete: the connection is closed."""
    body_s: float = 10.0
    """Until the body is complete: 408."""
    answer_s: float = 10.0
    """From the last byte to the answer: 504."""
    linger_s: float = 2.0
    """How long the rest of a refused body is read and thrown away, so that the client sees why."""
    connections: int = 1000
    """Open connections: 503."""

    @property
    def request_s(self) -> float:
        """Until any connection with an unfinished request is cut, whatever keeps it."""
        return self.body_s + self.answer_s + self.linger_s + 5.0


def connections_that_fit(wanted: int) -> int:
    """Return how many connections the process's limit on open files leaves room for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return wanted
    return max(2, min(wanted, files - SPARE_FILES))
