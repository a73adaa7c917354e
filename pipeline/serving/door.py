"""Closing a listening socket without resetting anybody who has just come through it."""

import ctypes
import logging
import socket
import struct

log = logging.getLogger(__name__)

SO_ATTACH_FILTER = 26  # asm-generic/socket.h; the module `socket` does not have it
FLAGS_BYTE = 13
"""Of a TCP header (RFC 9293, section 3.1)."""
SYN, SYN_OR_ACK = 0x02, 0x12
_INSTRUCTION = struct.Struct("HBBI")
# Classic BPF (linux/filter.h): load a byte, mask it, compare, drop or let pass.
_PROGRAM = b"".join(
    _INSTRUCTION.pack(*instruction)
    for instruction in (
        (0x30, 0, 0, FLAGS_BYTE),
        (0x54, 0, 0, SYN_OR_ACK),
        (0x15, 0, 1, SYN),
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0xFFFFFFFF),
    )
)


def let_nobody_else_in(listener: socket.socket) -> bool:
    """Have the system ignore new connections to `listener`, and finish those that have begun.

    Closing a listening socket resets the connections that are made but not accepted, and one can be
    made between the last accept and the closing, whatever the order. After this call none can: a
    client that knocks gets no answer, knocks again a second later and finds the port closed.

    Returns:
        Whether the system can do that; Linux can.
    """
    buffer = ctypes.create_string_buffer(_PROGRAM, len(_PROGRAM))
    n_instructions = len(_PROGRAM) // _INSTRUCTION.size
    program = struct.pack("HP", n_instructions, ctypes.addressof(buffer))
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    except OSError as error:
        log.debug("new connections cannot be held off: %s", error)
        return False
    return True
