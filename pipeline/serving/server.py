"""One port, one event loop, and an orderly leave."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import uvicorn

from pipeline.core.errors import InstallationError
from pipeline.serving.app import create_app
from pipeline.serving.door import let_nobody_else_in
from pipeline.serving.exchange import Exchanges
from pipeline.serving.limits import connections_that_fit
from pipeline.serving.protocol import DeadlineProtocol
from pipeline.serving.reload import Watch
from pipeline.serving.service import Service

log = logging.getLogger(__name__)

DRAIN_S = 1.0
"""How long a leaving server still takes requests, so that those who balance load can notice."""
HANDSHAKE_S = 0.3
"""For those whose connection is being made: a round trip to far away."""
HANDOVER_S = 0.02
"""For the event loop to let go of the listening sockets."""
GRACE_S = 8
"""How long the last requests have after that."""


def bind(host: str, port: int, *, backlog: int) -> socket.socket:
    """Return a listening socket; called once the model is there, since clients can now connect.

    Raises:
        InstallationError: there is no such address here, or the port is taken or forbidden.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InstallationError(
            f"cannot serve on {host} port {port}: {reason}; choose another --host or --port"
        ) from error
    return listener


class LeavingServer(uvicorn.Server):
    """A server that first says it is leaving, then stops taking requests, then answers the rest."""

    def __init__(
        self, config: uvicorn.Config, service: Service, *, watch: Watch | None = None
    ) -> None:
        super().__init__(config)
        self._service, self._watch = service, watch

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, and say where."""
        await super().startup(sockets=sockets)
        if self._watch is not None:
            self._watch.start()
        model = self._service.model
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            facts = (model.name, model.version, model.classifier.provider)
            log.info("ready: http://%s:%d with %s version %s on %s", shown, port, *facts)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take in those who knock, close the door, then let everybody finish.

        The system resets connections that it has made but nobody has accepted. So no new ones are
        made from here on, and a copy of each listening socket stays open until the event loop has
        let go of its own, and is closed when nobody is left to accept.
        """
        if self._watch is not None:
            self._watch.stop()
        if all([let_nobody_else_in(listener) for listener in sockets or ()]):
            await asyncio.sleep(HANDSHAKE_S)
        doors = [listener.dup() for listener in sockets or ()]
        for server in self.servers:
            server.close()
        await asyncio.sleep(HANDOVER_S)
        for listener in sockets or ():
            listener.close()
        knocking: list[socket.socket] = []
        for door in doors:
            door.setblocking(False)
            knocking += _accept_all(door)
            door.close()
        loop = asyncio.get_running_loop()
        for connection in knocking:
            await loop.connect_accepted_socket(self._protocol, connection)
        await super().shutdown(sockets=sockets)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state={}
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave on SIGTERM and SIGINT, with exit status 0; uvicorn would raise them again.

        SIGHUP looks for a new version at once.
        """
        loop = asyncio.get_running_loop()

        def hear(signum: int, frame: object) -> None:
            loop.call_soon_threadsafe(self._hear, signum)

        signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, hear) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, signum: int) -> None:
        if signum != signal.SIGHUP:
            self._leave(signum)
        elif self._watch is not None:
            self._watch.look_now()

    def _leave(self, signum: int) -> None:
        if self._service.leaving or signum == signal.SIGINT:  # impatient: no drain
            self.force_exit = self.should_exit
            self.should_exit = True
        else:
            log.info("leaving: not ready any more, requests are answered for %g s", DRAIN_S)
            asyncio.get_running_loop().call_later(DRAIN_S, setattr, self, "should_exit", True)
        self._service.leaving = True


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    with suppress(OSError):  # BlockingIOError: nobody is left
        while True:
            yield listener.accept()[0]


def serve(
    service: Service,
    listener: socket.socket,
    *,
    watch: Watch | None = None,
    keys: tuple[bytes, ...] = (),
    origins: Sequence[str] = (),
) -> None:
    """Answer requests on `listener` until SIGTERM or Ctrl-C.

    Args:
        service: the model and its queue.
        listener: see `bind`.
        watch: looks for new versions of the model; None never does.
        keys: see `create_app`.
        origins: see `create_app`.
    """
    limits = service.limits
    n_connections = connections_that_fit(limits.connections)
    # uvicorn's own words: below ERROR they tell what the access log tells.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)

    class Protocol(DeadlineProtocol):
        pass

    Protocol.limits, Protocol.max_connections = limits, n_connections
    n_open: Callable[[], int] = lambda: len(server.server_state.connections)  # noqa: E731
    service.metrics.gauge("connections", "Open connections.", n_open)
    app = Exchanges(
        create_app(service, keys=keys, origins=origins),
        metrics=service.metrics,
        linger_s=limits.linger_s,
        leaving=lambda: service.leaving,
        crowded=lambda: n_open() > n_connections,
    )
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=limits.connections,
        timeout_keep_alive=int(limits.idle_s),
        timeout_graceful_shutdown=GRACE_S,
    )
    server = LeavingServer(config, service, watch=watch)
    server.run(sockets=[listener])
