"""A server process from its socket to its end."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from tf_tokclf.counted import counted
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.optional_packages import install_hint
from tf_tokclf.serving.hosts import AllowedHosts
from tf_tokclf.serving.limits import Limits

if TYPE_CHECKING:
    import uvicorn

    from tf_tokclf.serving.metrics import Metrics
    from tf_tokclf.serving.service import Service

log = logging.getLogger(__name__)

# Connections that wait to be accepted; asyncio accepts as many at once.
_BACKLOG = 1024
# Open files beside connections: libraries, the model, and up to 256 connections that were refused and about to close.
_OTHER_FILES = 512
_SEND_BUFFER_BYTES = 256 << 10
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
                hint=install_hint("serve"),
            ) from error


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that nobody else listens on. Raises UserError where there is none."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        # Connections inherit it. asyncio sets it only for sockets that were made with TCP by name; without it each
        # answer on an open connection waits 40 ms for the client's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Inherited too. The system's buffers grow to megabytes: a client that reads them slowly would look like one
        # that reads nothing.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
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


def run_server(service: Service, listening: socket.socket, hosts: AllowedHosts) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is in flight; a second Ctrl-C ends at once.

    Raises JobError when the thread that runs the model ends before.
    """
    import uvicorn

    from tf_tokclf.serving.app import create_app

    server = uvicorn.Server(server_config(create_app(service, hosts), service.limits, service.metrics))
    service.on_failure = partial(setattr, server, "should_exit", True)
    address, port = listening.getsockname()[:2]
    if not ip_address(address).is_loopback:
        log.warning("there is no authentication: whoever reaches %s can use the server.", address)
    if hosts.is_open:
        log.warning("any Host is accepted: web pages that visitors of this network open can read answers.")
    log.info("serving on %s until Ctrl-C; /docs describes the API", hosts.url(address, port))
    with _signals_only_stop():
        server.run(sockets=[listening])
    if service.failure:
        kind = type(service.failure).__name__
        raise JobError(f"the thread that runs the model ended ({kind}). Start the server again.")
    log.info("stopped")


def server_config(app: Any, limits: Limits, metrics: Metrics) -> uvicorn.Config:
    """How uvicorn serves `app`."""
    import uvicorn

    from tf_tokclf.serving.connections import Connections

    n_connections, backlog = _room(limits.max_connections)
    connections = Connections(replace(limits, max_connections=n_connections), metrics)
    return uvicorn.Config(
        app,
        http=connections.protocol,  # type: ignore[arg-type]  # not a class, but called like one
        # Would take connections away from our protocol, with its deadlines and the gate.
        ws="none",
        # Addresses may hold texts; what fails on a request, the gate logs without quoting it.
        access_log=False,
        log_config=None,
        log_level=logging.ERROR,
        server_header=False,
        backlog=backlog,
        timeout_graceful_shutdown=int(limits.timeout_s) + _LAST_ANSWERS_S,
    )


def _room(n_connections: int) -> tuple[int, int]:
    """How many connections may be open, and how many may wait to be accepted, with the files that may be open."""
    n_files = _raise_file_limit(n_connections + _BACKLOG + _OTHER_FILES)
    n_free = max(n_files - _OTHER_FILES, 2)
    if n_free >= n_connections + _BACKLOG:
        return n_connections, _BACKLOG
    n_fitting = min(n_connections, max(2 * n_free // 3, 1))
    if n_fitting < n_connections:
        log.warning(
            "at most %s instead of %d: this process may open %s. Raise the limit (ulimit -n).",
            counted(n_fitting, "connection"),
            n_connections,
            counted(n_files, "file"),
        )
    return n_fitting, min(_BACKLOG, n_free - n_fitting)


def _raise_file_limit(n_wanted: int) -> int:
    """Let this process open so many files if the system lets it; how many it may open then."""
    if sys.platform != "win32":  # which has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft >= n_wanted:
            return n_wanted
        higher = n_wanted if hard == resource.RLIM_INFINITY else min(n_wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (higher, hard))
        except (ValueError, OSError):  # macOS has another limit behind the one it tells
            return soft
        return higher
    return n_wanted


@contextmanager
def _signals_only_stop() -> Iterator[None]:
    """uvicorn raises the signals that it was stopped by anew at its end. To be asked to stop is no failure here."""
    before = {name: signal.signal(name, lambda *_: None) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
