"""Faults of the local Hub on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Fault:
    """The effects on matching requests. All given ones apply, in this order.

    method, pattern: of the requests meant; the pattern is searched in the path with its query.
    times: so many matching requests suffer (None: all from now on), after the first `skip` got through.
    call: runs first, in the request's thread (somebody else's commit, a stop of the Hub); the answer waits for it.
    status, headers: answered instead of the real answer; the body of the request is read.
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
