"""Run the server: open the socket, configure uvicorn, serve until a signal."""

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
from tf_tokclf.report.next_steps import after_start_of_server, show_next
from tf_tokclf.serving.hosts import AllowedHosts
from tf_tokclf.serving.limits import Limits

if TYPE_CHECKING:
    import uvicorn

    from tf_tokclf.serving.metrics import Metrics
    from tf_tokclf.serving.service import Service

log = logging.getLogger(__name__)

# Connections that wait to be accepted. asyncio accepts as many at once.
_BACKLOG = 1024
# Open files other than connections: libraries, the model, and up to 256 refused connections that are being closed.
_OTHER_FILES = 512
_SEND_BUFFER_BYTES = 256 << 10
# Time in addition to the timeout of requests, for responses to slow clients.
_LAST_ANSWERS_S = 5


def check_installed() -> None:
    """Raise UserError unless the packages for serving are installed."""
    for name in ("fastapi", "prometheus_client", "uvicorn"):
        try:
            import_module(name)
        except ImportError as error:
            raise UserError(
                f"serving needs {name}, which is not installed.",
                hint=install_hint("serve"),
            ) from error


def listening_socket(host: str, port: int) -> socket.socket:
    """Open a listening socket. Raises UserError if the host or port cannot be used."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        # Connections inherit this option. asyncio sets it only for sockets whose protocol is explicitly TCP. Without
        # it, each response on an open connection waits 40 ms for the client's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Also inherited. The system's buffers grow to megabytes, so a client that reads slowly would look like one that
        # reads nothing.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return listening
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "a part of the name is empty or too long"
        raise UserError(f"unknown host {host[:99]!r}: {reason}.", hint="Choose another with --host.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = "Choose another with --port; 0 selects a free one."
            raise UserError(f"port {port} of {host} is already in use.", hint=hint) from error
        raise UserError(
            f"cannot listen on port {port} of {host}: {error.strerror}.", hint="Choose others with --host and --port."
        ) from error


def run_server(service: Service, listening: socket.socket, hosts: AllowedHosts) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish running requests. A second Ctrl-C stops immediately.

    Raises JobError if the thread that runs the model ends before.
    """
    import uvicorn

    from tf_tokclf.serving.app import create_app

    server = uvicorn.Server(server_config(create_app(service, hosts), service.limits, service.metrics))
    service.on_failure = partial(setattr, server, "should_exit", True)
    address, port = listening.getsockname()[:2]
    if not ip_address(address).is_loopback:
        log.warning("there is no authentication: anyone who can reach %s can use the server.", address)
    if hosts.is_open:
        log.warning("any Host is accepted, so any web page opened in this network can read responses of the server.")
    log.info("serving on %s (stop with Ctrl-C); /docs describes the API", hosts.url(address, port))
    show_next(after_start_of_server(hosts.url(address, port)))
    with _signals_only_stop():
        server.run(sockets=[listening])
    if service.failure:
        kind = type(service.failure).__name__
        raise JobError(f"the thread that runs the model ended ({kind}). Start the server again.")
    log.info("stopped")


def server_config(app: Any, limits: Limits, metrics: Metrics) -> uvicorn.Config:
    """The configuration of uvicorn for `app`."""
    import uvicorn

    from tf_tokclf.serving.connections import Connections

    n_connections, backlog = _room(limits.max_connections)
    connections = Connections(replace(limits, max_connections=n_connections), metrics)
    return uvicorn.Config(
        app,
        http=connections.protocol,  # type: ignore[arg-type]  # not a class, but called like one
        # WebSockets would bypass the deadlines of our protocol and the gate.
        ws="none",
        # URLs may contain texts. The gate logs failures without quoting the request.
        access_log=False,
        log_config=None,
        log_level=logging.ERROR,
        server_header=False,
        backlog=backlog,
        timeout_graceful_shutdown=int(limits.timeout_s) + _LAST_ANSWERS_S,
    )


def _room(n_connections: int) -> tuple[int, int]:
    """The numbers of connections that may be open and that may wait, under the limit on open files."""
    n_files = _raise_file_limit(n_connections + _BACKLOG + _OTHER_FILES)
    n_free = max(n_files - _OTHER_FILES, 2)
    if n_free >= n_connections + _BACKLOG:
        return n_connections, _BACKLOG
    n_fitting = min(n_connections, max(2 * n_free // 3, 1))
    if n_fitting < n_connections:
        log.warning(
            "at most %s instead of %d, because this process may open only %s. Raise the limit (ulimit -n).",
            counted(n_fitting, "connection"),
            n_connections,
            counted(n_files, "file"),
        )
    return n_fitting, min(_BACKLOG, n_free - n_fitting)


def _raise_file_limit(n_wanted: int) -> int:
    """Raise the limit on open files to `n_wanted`, if the system allows it. Returns the new limit."""
    if sys.platform != "win32":  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft >= n_wanted:
            return n_wanted
        higher = n_wanted if hard == resource.RLIM_INFINITY else min(n_wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (higher, hard))
        except (ValueError, OSError):  # macOS has a lower limit than the one it reports
            return soft
        return higher
    return n_wanted


@contextmanager
def _signals_only_stop() -> Iterator[None]:
    """Ignore the signals that uvicorn raises again after it has stopped, since a stop by signal is not a failure."""
    before = {name: signal.signal(name, lambda *_: None) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
