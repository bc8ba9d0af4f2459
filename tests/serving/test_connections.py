"""Connections: deadlines, the largest number of them, and how clients close them."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import time
from asyncio import selector_events
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.serving.requests import BODY, HEAD, HEALTH, REQUEST, answer, connect, large_request, received
from tests.serving.running import Gated, predict, served
from tests.waiting import LIMIT_S, wait_until
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.serving import connections as module
from tf_tokclf.serving.limits import Limits
from tf_tokclf.serving.service import Service

# No deadline except the one under test.
PATIENT = {"headers_timeout_s": 10 * LIMIT_S, "keep_alive_s": 10 * LIMIT_S, "timeout_s": 10 * LIMIT_S}


class Server:
    """A server in this process, with its metrics, which are read without a connection."""

    def __init__(self, service: Service, port: int) -> None:
        self.port = port
        self._registry = service.metrics.registry

    @property
    def n_connections(self) -> float:
        """How many are open."""
        return self._registry.get_sample_value("tf_tokclf_connections") or 0.0

    @property
    def n_in_hand(self) -> float:
        """How many requests are not answered yet."""
        return self._registry.get_sample_value("tf_tokclf_requests_in_hand") or 0.0

    def n_closed(self, reason: str) -> float:
        """How many connections were closed for this reason."""
        return self._registry.get_sample_value("tf_tokclf_closed_connections_total", {"reason": reason}) or 0.0


@contextmanager
def server_of(tagger: Tagger, **limits: Any) -> Iterator[Server]:
    service = Service(tagger, "tests/tiny", Limits(**{**PATIENT, **limits}))
    service.start()
    with served(service) as port:
        yield Server(service, port)


@pytest.fixture(scope="module")
def patient(tagger: Tagger) -> Iterator[Server]:
    with server_of(tagger) as server:
        yield server


@pytest.fixture(scope="module")
def hasty(tagger: Tagger) -> Iterator[Server]:
    """Limits with a short deadline for headers."""
    with server_of(tagger, headers_timeout_s=0.5) as server:
        yield server


def test_a_client_that_is_gone_when_its_connection_is_replaced(
    tagger: Tagger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The system then cannot shut the connection down. The new one still gets its place and its deadline."""

    def write_eof(transport: asyncio.Transport) -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(selector_events._SelectorSocketTransport, "write_eof", write_eof)
    # On a busy machine, the head of a request may arrive late.
    with server_of(tagger, max_connections=1, headers_timeout_s=3) as server:
        for _ in range(3):
            with connect(server.port), connect(server.port) as client:
                client.sendall(REQUEST)
                assert answer(client).startswith(b"HTTP/1.1 200 ")
        with connect(server.port), connect(server.port) as client:
            assert received(client) == b""
        wait_until(lambda: server.n_connections == 0)
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_a_connection_without_a_request_is_closed(hasty: Server):
    with connect(hasty.port) as client:
        assert received(client) == b""
    assert hasty.n_closed("late") >= 1


@pytest.mark.parametrize("part", [b"G", HEALTH[:-2], b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_half_a_head_is_answered_408_and_closed(hasty: Server, part: bytes):
    def is_answered() -> bytes:
        # On a busy machine, nothing may have arrived in time.
        with connect(hasty.port) as client:
            client.sendall(part)
            return received(client)

    answer = wait_until(is_answered)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"connection: close" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"detail": "no complete request within 0.5 s"}


def test_a_head_that_trickles_in_does_not_move_its_deadline(hasty: Server):
    with connect(hasty.port) as client:
        client.sendall(HEALTH[:-2])

        def is_closed() -> bool:
            try:
                client.sendall(b"X-More: 1\r\n")
            except ConnectionError:
                return True
            return False

        wait_until(is_closed, every_s=0.1)


def test_half_a_second_request_is_answered_408_and_closed(hasty: Server):
    def is_refused() -> bool:
        with connect(hasty.port) as client:
            client.sendall(HEALTH)
            if b" 200 " not in answer(client):  # on a busy machine the first one may be late too
                return False
            client.sendall(b"GET /hea")
            return b" 408 " in received(client)

    wait_until(is_refused)


def test_half_a_body_is_answered_408_and_closed(tagger: Tagger):
    with server_of(tagger, timeout_s=0.3) as server, connect(server.port) as client:
        client.sendall(HEAD + BODY[:5])
        answer = received(client)
        assert b" 408 " in answer
        assert b"connection: close" in answer


def test_a_connection_is_closed_when_no_other_request_comes(tagger: Tagger):
    with server_of(tagger, keep_alive_s=0.3) as server, connect(server.port) as client:
        client.sendall(HEALTH)
        assert received(client).startswith(b"HTTP/1.1 200 OK\r\n")
        assert server.n_closed("idle") == 1


def test_a_request_is_answered_however_it_is_cut(patient: Server):
    with connect(patient.port) as client:
        for part in (REQUEST[:10], REQUEST[10 : len(HEAD) + 3], REQUEST[len(HEAD) + 3 :]):
            time.sleep(0.1)
            client.sendall(part)
        assert b" 200 " in answer(client)
        client.sendall(HEALTH)
        assert b" 200 " in answer(client)


@contextmanager
def small_client(port: int) -> Iterator[socket.socket]:
    with socket.socket() as client:
        client.settimeout(LIMIT_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.connect(("127.0.0.1", port))
        yield client


def test_a_client_that_does_not_read_its_answer_is_given_up(tagger: Tagger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_UNREAD_ANSWER_S", 0.5)
    with server_of(tagger) as server, small_client(server.port) as client:
        client.sendall(large_request())
        wait_until(lambda: server.n_closed("unread") == 1)
        wait_until(lambda: server.n_connections == 0)


def test_a_slow_reader_gets_its_whole_answer(tagger: Tagger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_UNREAD_ANSWER_S", 4)
    with server_of(tagger) as server, small_client(server.port) as client:
        client.sendall(large_request())
        parts: list[bytes] = []
        for n_bytes in range(150_000, 3_000_000, 150_000):
            while sum(map(len, parts)) < n_bytes:
                parts.append(client.recv(1 << 16))
            time.sleep(0.3)
        head, _, body = b"".join([*parts, received(client)]).partition(b"\r\n\r\n")
    assert b" 200 " in head
    assert len(json.loads(body)["predictions"]) == 8


def test_a_new_connection_replaces_the_one_that_has_waited_longest(tagger: Tagger):
    with server_of(tagger, max_connections=4) as server, ExitStack() as stack:
        silent, half, kept = (stack.enter_context(connect(server.port)) for _ in range(3))
        half.sendall(HEALTH[:9])
        kept.sendall(HEALTH)
        assert b" 200 " in answer(kept)
        newest = [stack.enter_context(connect(server.port)) for _ in range(2)]
        assert received(silent).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        newest.append(stack.enter_context(connect(server.port)))
        # Connections that never sent a complete request are closed first.
        assert received(half).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        for client in (kept, *newest):
            client.sendall(REQUEST)
            assert b" 200 " in answer(client)
        assert server.n_closed("replaced") == 2
        # All have sent a request by now, so the one that has been idle longest is closed.
        stack.enter_context(connect(server.port))
        assert received(kept).startswith(b"HTTP/1.1 503 ")


def test_beyond_the_limit_of_busy_connections_new_ones_are_answered_503(
    tagger: Tagger, caplog: pytest.LogCaptureFixture
):
    gated = Gated(tagger)
    with server_of(gated.tagger, max_connections=3) as server, ExitStack() as stack:
        gated.gate.clear()
        busy = [stack.enter_context(connect(server.port)) for _ in range(3)]
        for client in busy:
            client.sendall(REQUEST)
        wait_until(lambda: server.n_in_hand == 3)
        with ThreadPoolExecutor(20) as pool:
            refused = list(pool.map(lambda _: predict(server.port, inputs="ada"), range(20)))
        assert {(one.status, one.detail) for one in refused} == {(503, "too many connections")}
        assert {one.headers["connection"] for one in refused} == {"close"}
        assert {one.headers["retry-after"] for one in refused} == {"1"}
        gated.gate.set()
        assert [b" 200 " in answer(client) for client in busy] == [True] * 3
        assert predict(server.port, inputs="ada").status == 200
    assert caplog.text.count("new ones are refused with status 503") == 1


def test_a_client_that_closes_its_side_gets_its_answer(patient: Server):
    with connect(patient.port) as client:
        client.sendall(REQUEST)
        client.shutdown(socket.SHUT_WR)
        assert b" 200 " in received(client)


def test_a_client_that_closes_its_side_gets_all_answers(patient: Server):
    with connect(patient.port) as client:
        client.sendall(REQUEST + HEALTH + REQUEST)
        client.shutdown(socket.SHUT_WR)
        assert received(client).count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize("part", [b"", b"GET / HT", HEAD, HEAD + BODY[:5]])
def test_a_client_that_closes_its_side_too_early_is_closed(patient: Server, part: bytes):
    with connect(patient.port) as client:
        client.sendall(part)
        client.shutdown(socket.SHUT_WR)
        assert received(client) == b""
        wait_until(lambda: patient.n_in_hand == 0)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 32\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        b"POST /predict HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_body_of_two_lengths_is_refused_and_nothing_behind_it_is_read(patient: Server, head: bytes):
    with connect(patient.port) as client:
        client.sendall(head + b"20\r\n" + BODY + b"\r\n0\r\n\r\n" + HEALTH)
        answers = received(client)
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"\r\n\r\n") == 1
    assert b"Transfer-Encoding requires HTTP/1.1 and excludes Content-Length" in answers


@pytest.mark.parametrize(
    "request_",
    [
        b"no HTTP at all\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        HEAD.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked") + b"no length\r\n\r\n",
        HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"),
    ],
)
def test_what_is_no_http_is_answered_400_and_closed(patient: Server, request_: bytes):
    with connect(patient.port) as client:
        client.sendall(request_)
        answers = received(client)
    assert answers.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answers.count(b"HTTP/1.1 ") == 1
    wait_until(lambda: patient.n_in_hand == 0)


def test_an_upgrade_to_another_protocol_is_not_made(patient: Server):
    with connect(patient.port) as client:
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        client.sendall(HEALTH[:-2] + upgrade + b"Sec-WebSocket-Key: eA==\r\n\r\n")
        assert b" 200 " in answer(client)
