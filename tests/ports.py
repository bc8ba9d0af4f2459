"""Reserve ports of this machine for a test."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


def reserved_socket() -> socket.socket:
    """A socket that occupies a port of the loopback interface without listening.

    While it is open, connections to the port are refused, and no other process gets the port by chance. A server
    that is started with this port can still listen on it, because servers set SO_REUSEADDR.
    """
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", 0))
    return one


@contextmanager
def reserved_ports(n: int) -> Iterator[list[int]]:
    """Context manager: `n` reserved ports of the loopback interface."""
    with ExitStack() as stack:
        yield [stack.enter_context(reserved_socket()).getsockname()[1] for _ in range(n)]
