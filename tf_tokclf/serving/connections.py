"""Limit open connections: deadlines for each step of the client, and a largest number of connections."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from tf_tokclf.counted import counted
from tf_tokclf.serving.limits import Limits
from tf_tokclf.serving.metrics import Metrics

log = logging.getLogger(__name__)

# Refused connections stay open for a moment so that the client can read the response. If unread data arrives on a
# closed connection, it is reset and the response is lost.
MAX_REFUSED = 256
_REFUSED_S = 1.0
# If a client reads nothing of its response for this time, the connection is closed.
_UNREAD_ANSWER_S = 30.0
_RETRY_AFTER_S = 1


class Connections:
    """The open connections of a server.

    If `limits.max_connections` are open, a new connection replaces the one that has been idle longest: first among
    those that never sent a request, then among those between two requests. If all have unanswered requests, the new one
    is refused. The replaced or refused connection gets a 503 response and is closed.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits = limits
        self.metrics = metrics
        self._open: set[Connection] = set()
        # Dictionaries keep the order of insertion: the first connection has waited longest.
        self._without_request: dict[Connection, None] = {}
        self._between_requests: dict[Connection, None] = {}
        self._refused: set[Connection] = set()
        self._has_warned = False
        metrics.watch_connections(lambda: len(self._open))

    @property
    def protocol(self) -> Callable[..., asyncio.Protocol]:
        """The protocol factory for uvicorn (its setting `http`)."""
        return partial(Connection, self)

    def admit(self, connection: Connection) -> bool:
        """Accept a new connection, if necessary in place of an idle one. Returns False if there is no room."""
        if len(self._open) >= self.limits.max_connections and not self._replace_one():
            if not self._has_warned:
                self._has_warned = True
                log.warning(
                    "%s with unanswered requests (--max-connections): new ones are refused with status 503. This is "
                    "logged only once.",
                    counted(len(self._open), "connection"),
                )
            return False
        self._open.add(connection)
        return True

    def _replace_one(self) -> bool:
        waiting = chain(self._without_request, self._between_requests)
        oldest = next((one for one in waiting if not one.has_unsent_bytes), None)
        if oldest:
            oldest.give_way()
        return oldest is not None

    def waits(self, connection: Connection, *, has_asked: bool) -> None:
        """Record that a connection has no unanswered request. has_asked: whether it had requests before."""
        waiting = self._between_requests if has_asked else self._without_request
        waiting.setdefault(connection)

    def works(self, connection: Connection) -> None:
        """Record that a connection has an unanswered request."""
        self._without_request.pop(connection, None)
        self._between_requests.pop(connection, None)

    def linger(self, connection: Connection) -> bool:
        """Whether a refused connection may stay open for a moment."""
        self.forget(connection)
        if len(self._refused) >= MAX_REFUSED:
            return False
        self._refused.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Record that a connection is closed, or is about to be."""
        self.works(connection)
        self._open.discard(connection)
        self._refused.discard(connection)


class Connection(H11Protocol):
    """uvicorn's protocol with a deadline for each state of the connection.

    Waiting for headers: limits.headers_timeout_s after the connection was opened, or after the first byte of a later
    request. The connection gets a 408 response, or is closed without one if nothing was received.
    Unanswered request: the deadline of the gate applies.
    Between two requests: limits.keep_alive_s.
    Unread response: _UNREAD_ANSWER_S during which the client reads nothing.
    """

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._all = connections
        self._limits = connections.limits
        self.timeout_keep_alive = self._limits.keep_alive_s  # type: ignore[assignment]  # the event loop takes floats
        self._timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._is_refused = False
        self._has_ended = False
        self._n_unread = 0

    @property
    def has_unsent_bytes(self) -> bool:
        """Whether a part of a response has not been sent yet."""
        return self.transport.get_write_buffer_size() > 0

    @property
    def _has_request(self) -> bool:
        """Whether the headers of a request are complete, but its response is not."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _has_partial_head(self) -> bool:
        return bool(self.conn.trailing_data[0])

    # Called by asyncio and uvicorn

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept or refuse the connection."""
        super().connection_made(transport)
        if self._all.admit(self):
            self._watch()
        else:
            self._refuse(503, "too many connections", "refused")

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection and its timers."""
        self._all.forget(self)
        self._stop_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Process received data, unless the connection was refused."""
        if not self._is_refused:
            super().data_received(data)
            self._watch()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection open only if the client has sent a complete request that must be answered."""
        self._has_ended = True
        return self._has_request and not self.cycle.more_body

    def on_response_complete(self) -> None:
        """Continue with the next request, or close the connection if the client has closed its side."""
        super().on_response_complete()
        if self._has_ended and not self._has_request:
            self.transport.close()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Refuse invalid HTTP, in headers or in the body of a request that the application is already processing."""
        if self._has_request:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.abort()
                return
        self._refuse(400, "this is not HTTP/1.1", "invalid")

    def pause_writing(self) -> None:
        """Start the deadline for a client that reads its response slowly."""
        super().pause_writing()
        self._watch_unread()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        self._all.metrics.count_connection("idle")
        super().timeout_keep_alive_handler()
        self._watch()

    def shutdown(self) -> None:
        """Close the connection after the current request. A refused one already has its response."""
        if self._is_refused:
            self.transport.close()
        else:
            super().shutdown()

    # Called by the server

    def give_way(self) -> None:
        """Close to make room for another connection, with a response in case a request is already on its way."""
        self._refuse(503, "too many connections", "replaced")

    def _watch(self) -> None:
        """Set the deadline for the current state."""
        if self._is_refused:
            return
        if self.transport.is_closing():
            self._all.works(self)
            self._stop_timer()
            self._watch_unread()
        elif self._has_request:
            self._all.works(self)
            self._stop_timer()
        else:
            self._all.waits(self, has_asked=self.cycle is not None)
            # While uvicorn's keep-alive timer runs, nothing of the next request has arrived.
            if self._timer is None and self.timeout_keep_alive_task is None:
                self._timer = self.loop.call_later(self._limits.headers_timeout_s, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._has_partial_head:
            self._refuse(408, f"no complete request within {self._limits.headers_timeout_s:g} s", "late")
        else:
            self._all.metrics.count_connection("late")
            self.transport.close()
            self._watch()

    def _watch_unread(self) -> None:
        """Close the connection if the client reads nothing for _UNREAD_ANSWER_S."""
        self._stop_unread_timer()
        self._n_unread = self.transport.get_write_buffer_size()
        if self.has_unsent_bytes:
            self._unread_timer = self.loop.call_later(_UNREAD_ANSWER_S, self._check_unread)

    def _check_unread(self) -> None:
        if self.transport.get_write_buffer_size() >= self._n_unread:
            self._all.metrics.count_connection("unread")
            self.transport.abort()
        else:
            self._watch_unread()

    def _refuse(self, status: int, detail: str, reason: str) -> None:
        """Respond in place of the application and close the connection after a moment."""
        self._is_refused = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        self._all.metrics.count_connection(reason)
        self.transport.write(_answer(status, detail))
        if self._all.linger(self):
            try:
                self.transport.write_eof()
            except OSError:  # the client has already closed the connection
                self.transport.abort()
                return
            self._timer = self.loop.call_later(_REFUSED_S, self.transport.abort)
        else:
            self.transport.abort()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _stop_unread_timer(self) -> None:
        if self._unread_timer:
            self._unread_timer.cancel()
            self._unread_timer = None


def _answer(status: int, detail: str) -> bytes:
    """A complete response that closes the connection."""
    body = json.dumps({"detail": detail}).encode()
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
        *([f"retry-after: {_RETRY_AFTER_S}"] if status == 503 else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
