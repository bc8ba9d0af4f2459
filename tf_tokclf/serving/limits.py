"""Limits of a server, in total and per request."""

from __future__ import annotations

from dataclasses import dataclass

from tf_tokclf.errors import UserError


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    max_texts: texts in a request.
    max_length: characters in a text or a word, and words in a list of words.
    max_body_bytes: size of the body of a request.
    timeout_s: from the end of a request's headers to its response.
    max_connections: open connections.
    headers_timeout_s: from the start of a connection, or the first byte of a later request, to the end of the headers.
    keep_alive_s: between a response and the next request on the same connection.
    max_waiting_texts: texts that wait for the model. Requests beyond it are refused.
    max_batch_texts: texts in a batch.
    max_wait_s: how long the first text of a batch waits for others.
    """

    max_texts: int = 256
    max_length: int = 20_000
    max_body_bytes: int = 1 << 20
    timeout_s: float = 30.0
    max_connections: int = 1000
    headers_timeout_s: float = 10.0
    # Longer than proxies and clients keep idle connections, so that they never send a request on a closing one.
    keep_alive_s: float = 75.0
    max_waiting_texts: int = 1024
    max_batch_texts: int = 32
    max_wait_s: float = 0.005

    def __post_init__(self) -> None:
        if self.max_waiting_texts < self.max_texts:
            raise UserError(
                f"--max-waiting-texts is {self.max_waiting_texts:,}, less than --max-texts ({self.max_texts:,}), "
                "the number of texts that one request may contain.",
                hint="Raise --max-waiting-texts or lower --max-texts.",
            )
