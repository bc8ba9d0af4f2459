"""Stopping on request: after Ctrl-C or SIGTERM a run saves its state and stops; a second one stops it immediately."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import TypeVar

log = logging.getLogger(__name__)

Item = TypeVar("Item")

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class StopAsked(Exception):
    """Raised after a request to stop, at a point where the run can stop."""


class StopRequest:
    """A context manager that handles SIGINT and SIGTERM: the first is noted, the second interrupts immediately."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.asked = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        for number in NAMES:
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:
                # Only the main thread can handle signals. In other threads the caller has to.
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            for mine in NAMES:
                signal.signal(mine, signal.SIG_DFL)
            raise KeyboardInterrupt
        self.signal, self.asked = signal.Signals(number), True
        log.warning("%s: saving, then stopping. Press Ctrl-C to stop immediately.", NAMES[self.signal])

    def checked(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items. Raises StopAsked before the next item if there was a request to stop."""
        for item in items:
            if self.asked:
                raise StopAsked
            yield item
