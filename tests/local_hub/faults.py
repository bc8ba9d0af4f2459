"""Faults of the local Hub on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Fault:
    """The effects on matching requests. All effects that are set apply, in this order.

    method, pattern: the requests that match. The pattern is searched for in the path and the query.
    times: number of matching requests with this fault, after the first `skip` of them. None: all later ones.
    call: called first, in the request's thread (for a commit by another user, or a stop of the Hub). The response waits
        for it.
    status, headers: sent instead of the real response, after the body of the request was read.
    cut: the connection breaks "before" anything is done, in the "middle" of the request's body,
        or "after" all is done but the answer.
    """

    method: str
    pattern: str
    times: int | None = 1
    skip: int = 0
    call: Callable[[], object] | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: str | None = None


class Faults:
    """The faults that have not happened yet. It is thread-safe."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Activate `fault`."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def next_for(self, method: str, path: str) -> Fault | None:
        """The fault for this request, which is then counted as used."""
        with self._lock:
            for fault in self._faults:
                if fault.times == 0 or not re.fullmatch(fault.method, method) or not re.search(fault.pattern, path):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None
