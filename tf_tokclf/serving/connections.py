"""Connections on a schedule: a deadline for whatever the client has to do next, and a limit on how many are open."""

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

from tf_tokclf.serving.limits import Limits
from tf_tokclf.serving.metrics import Metrics

log = logging.getLogger(__name__)

# Connections that are refused stay open for a moment, so that the client can read the answer: closing a connection on
# which unread data arrives resets it, and the answer is lost.
MAX_REFUSED = 256
_REFUSED_S = 1.0
# A client that takes nothing of its answer for so long has gone.
_UNREAD_ANSWER_S = 30.0
_RETRY_AFTER_S = 1


class Connections:
    """The open connections of a server.

    When there are `limits.max_connections`, a new one takes the place of the one that has waited longest without a
    request: first of those that never sent one, then of those between two requests. If all have requests that are not
    answered yet, there is no place for the new one. The one that is too many is answered 503 and closed.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits = limits
        self.metrics = metrics
        self._open: set[Connection] = set()
        # Mappings keep the order of insertion: the first has waited longest.
        self._without_request: dict[Connection, None] = {}
        self._between_requests: dict[Connection, None] = {}
        self._refused: set[Connection] = set()
        self._has_warned = False
        metrics.watch_connections(lambda: len(self._open))

    @property
    def protocol(self) -> Callable[..., asyncio.Protocol]:
        """What uvicorn makes a protocol of each connection with (its setting `http`)."""
        return partial(Connection, self)

    def admit(self, connection: Connection) -> bool:
        """Make room for a new connection; False when there is none."""
        if len(self._open) >= self.limits.max_connections and not self._replace_one():
            if not self._has_warned:
                self._has_warned = True
                log.warning(
                    "all connections that are allowed (--max-connections %d) have unanswered requests: new ones are "
                    "answered 503. This is logged once.",
                    len(self._open),
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
        """Note that a connection has no request that is not answered yet. has_asked: it had one before."""
        waiting = self._between_requests if has_asked else self._without_request
        waiting.setdefault(connection)

    def works(self, connection: Connection) -> None:
        """Note that a connection has a request."""
        self._without_request.pop(connection, None)
        self._between_requests.pop(connection, None)

    def linger(self, connection: Connection) -> bool:
        """Whether a connection may stay open after it was refused."""
        self.forget(connection)
        if len(self._refused) >= MAX_REFUSED:
            return False
        self._refused.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Note that a connection is closed, or about to be."""
        self.works(connection)
        self._open.discard(connection)
        self._refused.discard(connection)


class Connection(H11Protocol):
    """uvicorn's protocol with a deadline in each of its states.

    no complete head yet: limits.headers_timeout_s after the connection was opened, or after the first byte of a later
    request. It is answered 408, or closed without an answer if nothing has come. request without an answer: the gate's.
    between two requests: limits.keep_alive_s. unread answer: _UNREAD_ANSWER_S in which none of it is taken.
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
        """Whether a part of an answer has not left this process yet."""
        return self.transport.get_write_buffer_size() > 0

    @property
    def _has_request(self) -> bool:
        """Whether a request's head is complete, and its answer is not."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _has_partial_head(self) -> bool:
        return bool(self.conn.trailing_data[0])

    # What asyncio and uvicorn call

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, or refuse it."""
        super().connection_made(transport)
        if self._all.admit(self):
            self._watch()
        else:
            self._refuse(503, "too many connections", "refused")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._all.forget(self)
        self._stop_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Read on, unless it is refused."""
        if not self._is_refused:
            super().data_received(data)
            self._watch()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that has closed its side after a whole request; close the connection on any other."""
        self._has_ended = True
        return self._has_request and not self.cycle.more_body

    def on_response_complete(self) -> None:
        """Begin with the next request, if there is one."""
        super().on_response_complete()
        if self._has_ended and not self._has_request:
            self.transport.close()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP: a head, or the body of a request that is in the application's hands."""
        if self._has_request:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.abort()
                return
        self._refuse(400, "this is not HTTP/1.1", "invalid")

    def pause_writing(self) -> None:
        """Wait for a client that reads more slowly than it is answered, as long as it reads at all."""
        super().pause_writing()
        self._watch_unread()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which no other request has come."""
        self._all.metrics.count_connection("idle")
        super().timeout_keep_alive_handler()
        self._watch()

    def shutdown(self) -> None:
        """Close, or finish with the request in hand. A refused connection has had its answer."""
        if self._is_refused:
            self.transport.close()
        else:
            super().shutdown()

    # What the server does

    def give_way(self) -> None:
        """Close for the benefit of another connection. A request may be on its way: it gets an answer."""
        self._refuse(503, "too many connections", "replaced")

    def _watch(self) -> None:
        """Set the deadline of the state that it is in now."""
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
            # While the timer of uvicorn runs, nothing of the next request has come.
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
        """Close the connection when nothing of what was sent leaves within _UNREAD_ANSWER_S."""
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
        """Answer in place of the application and close, once the client can have read the answer."""
        self._is_refused = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        self._all.metrics.count_connection(reason)
        self.transport.write(_answer(status, detail))
        if self._all.linger(self):
            try:
                self.transport.write_eof()
            except OSError:  # the client has closed it, and nobody has read that yet
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
    """A whole answer, after which the connection is closed."""
    body = json.dumps({"detail": detail}).encode()
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
        *([f"retry-after: {_RETRY_AFTER_S}"] if status == 503 else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
