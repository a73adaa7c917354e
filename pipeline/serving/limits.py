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
    header_bytes: int = 64 * 2**10
    """Largest request line and headers, and largest trailers: the connection is closed."""
    images: int = 16
    """Images in one request: 400."""
    waiting: int = 24
    """Images between their last byte and their answer: 503. It bounds how long an accepted request
    waits: by default a dozen images per core."""
    header_s: float = 4.0
    """Until the headers are complete: the connection is closed."""
    body_s: float = 10.0
    """Until the body is complete: 408."""
    answer_s: float = 10.0
    """From the last byte to the answer: 504."""
    linger_s: float = 1.0
    """How long the rest of a refused body is read and thrown away, so that the client sees why."""
    spare_s: float = 2.0
    """Added to body_s or answer_s before a connection is cut, whatever keeps it."""
    idle_s: float = 10.0
    """Between two requests of one connection: it is closed. A proxy in front should wait less."""
    connections: int = 1000
    """Open connections: 503 beyond, and closed unheard far beyond."""


def connections_that_fit(wanted: int) -> int:
    """Return how many connections the process's limit on open files leaves room for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return wanted
    return max(2, min(wanted, files - SPARE_FILES))
