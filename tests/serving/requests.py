"""Requests as bytes, for clients that send them in parts or in other ways that http.client does not support."""

from __future__ import annotations

import json
import socket

from tests.waiting import LIMIT_S

BODY = b'{"inputs": "ada visited london"}'
HEAD = (
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    % len(BODY)
)
REQUEST = HEAD + BODY
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def large_request() -> bytes:
    """A request whose response of several megabytes does not fit into the buffers between server and client."""
    body = json.dumps({"inputs": ["ada visited london and left . " * 300] * 8, "top_k": 5}).encode()
    return HEAD.replace(b"%d" % len(BODY), b"%d\r\nConnection: close" % len(body)) + body


def connect(port: int) -> socket.socket:
    """A connection to a server on this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)


def received(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def answer(client: socket.socket) -> bytes:
    """The next answer on a connection that stays open."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(1 << 16)
        assert part, data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(1 << 16)
    return head + b"\r\n\r\n" + body
