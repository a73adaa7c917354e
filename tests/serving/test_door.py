"""A listening socket that is about to close: who was let in stays, nobody else comes."""

import socket
import sys

import pytest

from pipeline.serving.door import let_nobody_else_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can hold them off")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_who_was_let_in_is_answered_and_nobody_else_comes(family: socket.AddressFamily) -> None:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        listener.listen(8)
        listener.setblocking(False)
        address = listener.getsockname()[:2]
        early = socket.create_connection(address, timeout=5)
        assert let_nobody_else_in(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.3)
        accepted, _ = listener.accept()
        with pytest.raises(BlockingIOError):
            listener.accept()
    with early, accepted:
        accepted.setblocking(True)
        early.sendall(b"a question")
        assert accepted.recv(100) == b"a question"
        accepted.sendall(b"an answer")
        assert early.recv(100) == b"an answer"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
