"""The layer in front of the application: refuses requests that are invalid, too large or too slow, and logs errors."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Collection
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tf_tokclf.counted import counted
from tf_tokclf.serving.failures import log_failure
from tf_tokclf.serving.hosts import AllowedHosts
from tf_tokclf.serving.limits import Limits
from tf_tokclf.serving.metrics import Metrics

# The first line of a request may contain an absolute URL, as for a proxy.
_ABSOLUTE = re.compile(rb"https?://(?P<host>[^/?#]*)(?P<path>.*)", re.IGNORECASE | re.DOTALL)
# Largest size of all bodies in memory, in multiples of the largest body.
_BODIES_AT_ONCE = 64
# How much of a body that is too large is read before it is refused, in multiples of the largest body. A client that is
# still sending when the connection is closed would not get the response.
_DISCARDED = 8


class Refusal(Exception):
    """A response in place of the application's. closes: the connection is closed after it."""

    def __init__(self, status: int, detail: str, *, retry_after_s: int | None = None, closes: bool = False) -> None:
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.closes = closes
        super().__init__(detail)


class Gate:
    """An ASGI application that wraps another one.

    It refuses requests for a host that is not in `hosts`, also if the host is in an absolute URL in the first line, and
    requests with an ambiguous length. It reads the complete body before it calls the application. HEAD is handled as
    GET, and the server drops the body. A path may end in a slash. Errors in the application result in a 500 response
    and are logged without their message, which might quote a text.
    paths: the paths that have metrics of their own.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, hosts: AllowedHosts, metrics: Metrics, paths: Collection[str]
    ) -> None:
        self._app = app
        self._limits = limits
        self._hosts = hosts
        self._metrics = metrics
        self._paths = frozenset(paths)
        self._n_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or the start and end of the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        begun = time.perf_counter()
        try:
            with self._metrics.in_hand.track_inprogress():
                await self._answer(scope, receive, answer)
        finally:
            path = _as_get(scope)["path"]
            path = path if path in self._paths else "other"
            self._metrics.count_request(path, answer.status, time.perf_counter() - begun)

    async def _answer(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self._pass_on(scope, receive, answer)
        except Refusal as refusal:
            await answer.refuse(refusal)
        except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
            raise
        # Some libraries raise errors that do not derive from Exception, and uvicorn would log their messages.
        except BaseException as error:
            log_failure(error, "in a request")
            await answer.refuse(Refusal(500, "the server failed; see its log"))

    async def _pass_on(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        body = _Body(receive)
        timeout_s = self._limits.timeout_s
        try:
            async with asyncio.timeout(timeout_s) as deadline:
                # A response that has started is sent completely.
                answer.on_start = lambda: deadline.reschedule(None)
                _check_length(scope)
                await self._read(scope, body)
                self._check_host(scope)
                await self._app(_as_get(scope), body.replay, answer.send)
        except TimeoutError:
            if not body.is_whole:
                raise Refusal(408, f"the request did not arrive within {timeout_s:g} s", closes=True) from None
            raise Refusal(504, f"the response was not ready within {timeout_s:g} s", retry_after_s=1) from None
        finally:
            answer.on_start = _nothing
            self._n_bytes -= body.n_bytes

    def _check_host(self, scope: Scope) -> None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if absolute := _ABSOLUTE.fullmatch(scope["raw_path"]):
            named = [*hosts, absolute["host"].decode("latin-1")]
        else:
            named = hosts
        if len(hosts) != 1 or not all(map(self._hosts.allow, named)):
            raise Refusal(400, "the server does not accept this Host; see --allowed-host")

    async def _read(self, scope: Scope, body: _Body) -> None:
        limit = self._limits.max_body_bytes
        announced = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
        while not body.is_whole and body.n_bytes <= limit and announced <= limit:
            before = body.n_bytes
            await body.read_on()
            self._n_bytes += body.n_bytes - before
            if self._n_bytes > _BODIES_AT_ONCE * limit:
                raise Refusal(503, "too many large requests at once", retry_after_s=1, closes=True)
        if body.n_bytes > limit or announced > limit:
            await body.discard(_DISCARDED * limit)
            raise Refusal(413, f"the body is larger than {counted(limit, 'byte')}", closes=not body.is_whole)


def _check_length(scope: Scope) -> None:
    """Raise Refusal if the length is ambiguous, because a proxy might take a part of the body for another request."""
    names = {name for name, _ in scope["headers"]}
    if b"transfer-encoding" in names and (b"content-length" in names or scope["http_version"] == "1.0"):
        raise Refusal(400, "Transfer-Encoding requires HTTP/1.1 and excludes Content-Length", closes=True)


def _plain(path: str) -> str:
    """A path without the slash at its end.

    >>> _plain("/health/"), _plain("/")
    ('/health', '/')
    """
    return path[:-1] if path.endswith("/") and path != "/" else path


def _as_get(scope: Scope) -> Scope:
    """The request in the form that the application gets."""
    if absolute := _ABSOLUTE.fullmatch(scope["raw_path"]):
        raw_path = absolute["path"] or b"/"
        scope = {**scope, "raw_path": raw_path, "path": unquote(raw_path.decode("latin-1"))}
    path = _plain(scope["path"])
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return {**scope, "method": method, "path": path}


def _nothing() -> None:
    """Do nothing."""


class _Body:
    """The body of a request while it arrives."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._parts: list[bytes] = []
        self._is_given = False
        self.is_whole = False
        self.n_bytes = 0

    async def read_on(self) -> None:
        """Read the next part."""
        message = await self._receive()
        part = message.get("body", b"")
        self._parts.append(part)
        self.n_bytes += len(part)
        # If the client has disconnected, no more will arrive.
        self.is_whole = not message.get("more_body", False)

    async def discard(self, n_bytes: int) -> None:
        """Read the rest, at most about `n_bytes`, and discard it."""
        n_read = 0
        while not self.is_whole and n_read < n_bytes:
            message = await self._receive()
            n_read += len(message.get("body", b""))
            self.is_whole = not message.get("more_body", False)

    async def replay(self) -> Message:
        """The `receive` of the application: first the complete body, then the messages of the server."""
        if self._is_given:
            return await self._receive()
        self._is_given = True
        body, self._parts = b"".join(self._parts), []
        return {"type": "http.request", "body": body, "more_body": False}


class _Answer:
    """The response to a request, from the application or a refusal."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False
        self.on_start: Callable[[], None] = _nothing
        self.status = 499  # the status in the metrics if the client disconnects before the response

    async def send(self, message: Message) -> None:
        """Send a part of the response."""
        if message["type"] == "http.response.start":
            self._has_begun = True
            self.status = message["status"]
            self.on_start()
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Respond with an error, unless a response has already started."""
        if self._has_begun:
            return
        body = json.dumps({"detail": refusal.detail}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if refusal.retry_after_s is not None:
            headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
        if refusal.closes:
            headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
