"""A server process from its socket to its end."""

from __future__ import annotations

import errno
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from ipaddress import ip_address
from typing import Any

from tf_tokclf.errors import UserError

log = logging.getLogger(__name__)

_BACKLOG = 1024
# An open connection may be idle for so long: longer than proxies and clients keep one, so that they never send a
# request on one that is just being closed.
_IDLE_S = 75
# Beyond the time limit of requests, for answers on their way to slow clients.
_LAST_ANSWERS_S = 5


def check_installed() -> None:
    """Raise UserError unless the extra is there."""
    for name in ("fastapi", "prometheus_client", "uvicorn"):
        try:
            import_module(name)
        except ImportError as error:
            raise UserError(
                f"serving needs {name}, which is not installed.",
                hint="Install it: python -m pip install 'tf-tokclf[serve]'",
            ) from error


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that nobody else listens on. Raises UserError where there is none."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        # Connections inherit it. asyncio sets it only for sockets that were made with TCP by name; without it each
        # answer on an open connection waits 40 ms for the client's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "no part of a name is empty or that long"
        raise UserError(f"there is no host {host[:99]!r}: {reason}.", hint="Choose another with --host.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = "Choose another with --port; 0 takes one that is free."
            raise UserError(f"port {port} of {host} is taken.", hint=hint) from error
        raise UserError(
            f"cannot listen on port {port} of {host}: {error.strerror}.", hint="Choose others with --host and --port."
        ) from error


def run_server(app: Any, listening: socket.socket, *, timeout_s: float) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is in flight; a second Ctrl-C ends at once."""
    import uvicorn

    config = uvicorn.Config(
        app,
        # Addresses may hold texts; what fails on a request, the gate logs without quoting it.
        access_log=False,
        log_config=None,
        log_level=logging.ERROR,
        server_header=False,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=int(timeout_s) + _LAST_ANSWERS_S,
    )
    host, port = listening.getsockname()[:2]
    if not ip_address(host).is_loopback:
        log.warning("whoever reaches %s can use the server: nobody is asked who they are", host)
    log.info("serving on http://%s:%d until Ctrl-C", f"[{host}]" if ":" in host else host, port)
    with _signals_only_stop():
        uvicorn.Server(config).run(sockets=[listening])
    log.info("stopped")


@contextmanager
def _signals_only_stop() -> Iterator[None]:
    """uvicorn raises the signals that it was stopped by anew at its end. To be asked to stop is no failure here."""
    before = {name: signal.signal(name, lambda *_: None) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
