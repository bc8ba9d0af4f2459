"""Clients of a server, most of them hostile, in a separate process that may open more files than the tests.

    python -c 'from tests.serving.load import main; main()' PORT N_IDLE N_HALF_SENT < TEXTS

TEXTS is a JSON list. N_IDLE connections stay idle, and N_HALF_SENT requests stay half sent. Meanwhile each text is sent
by its own client, all at the same time. Every twentieth client first sends a text that makes the tokenizer panic. The
results are written to standard output as a JSON object.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from tests.serving.requests import HEAD, HEALTH
from tests.serving.running import ask, metric, predict
from tests.waiting import LIMIT_S, wait_until

HALVES = (b"G", HEALTH[:-2], HEAD, HEAD + b'{"inputs": "ada')


def main() -> None:
    """Send the load and print the result."""
    json.dump(load(*map(int, sys.argv[1:]), texts=json.load(sys.stdin)), sys.stdout)


def load(port: int, n_idle: int, n_half_sent: int, *, texts: list[str]) -> dict[str, Any]:
    """The predictions for the texts, the statuses of all responses, and the number of connections at two points."""
    with ExitStack() as stack:

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S))

        for _ in range(n_idle):
            connect()
        for i in range(n_half_sent):
            connect().sendall(HALVES[i % len(HALVES)])
        start = threading.Barrier(len(texts) + 1, timeout=LIMIT_S)

        def client(i: int) -> tuple[int, Any, int | None]:
            start.wait()
            panicking = predict(port, inputs=f"{texts[i]} \U0001f600").status if i % 20 == 0 else None
            answer = predict(port, inputs=texts[i])
            return answer.status, answer.json, panicking

        with ThreadPoolExecutor(len(texts)) as pool:
            clients = [pool.submit(client, i) for i in range(len(texts))]
            start.wait()
            others = [ask(port, path).status for path in ("/", "/health", "/docs")]
            answers = [one.result() for one in clients]
        n_connections = metric(port, "tf_tokclf_connections")
        # Connections without complete headers are closed by now. Those with half a body may take longer.
        wait_until(lambda: metric(port, "tf_tokclf_connections") <= n_half_sent // 2 + 5)
    return {
        "statuses": sorted({status for status, _, _ in answers}),
        "predictions": [body["predictions"][0] for status, body, _ in answers if status == 200],
        "panicking": [status for _, _, status in answers if status],
        "others": others,
        "n_connections": n_connections,
    }
