"""How much a server takes on, at once and from one request."""

from __future__ import annotations

from dataclasses import dataclass

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError


@dataclass(frozen=True)
class Limits:
    """max_texts: in a request. max_length: characters of a text, or of a word; words of a list of words.
    max_body_bytes: of a request's body. timeout_s: from a request's first byte to its answer's.
    max_connections: open at once. headers_timeout_s: from a connection's beginning, or a later request's first byte, to
    the end of the request's headers. keep_alive_s: between an answer and the next request on the same connection.
    max_waiting_texts: of requests that wait for the model; more are turned away. max_batch_texts, max_wait_s: so
    many texts run together, and the first of them waits so long for others.
    """

    max_texts: int = 256
    max_length: int = 20_000
    max_body_bytes: int = 1 << 20
    timeout_s: float = 30.0
    max_connections: int = 1000
    headers_timeout_s: float = 10.0
    # Longer than proxies and clients keep a connection, so that they never send a request on one that is being closed.
    keep_alive_s: float = 75.0
    max_waiting_texts: int = 1024
    max_batch_texts: int = 32
    max_wait_s: float = 0.005

    def __post_init__(self) -> None:
        if self.max_waiting_texts < self.max_texts:
            raise UserError(
                f"{counted(self.max_waiting_texts, 'text')} may wait, but one request may have {self.max_texts:,}.",
                hint="Raise --max-waiting-texts or lower --max-texts.",
            )
