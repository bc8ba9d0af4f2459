"""Run the stages of a stream in parallel: each in a thread, a limited number of items ahead of the next stage."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Full, Queue
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.1


class _End:
    """The last item of a queue: the source has ended or failed."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def in_thread(items: Iterable[T], *, ahead: int = 1) -> Iterator[T]:
    """The same items, produced in a separate thread, at most `ahead` items in advance.

    Exceptions of the source are raised here. If the consumer stops early, the source stops too.
    """
    queue: Queue[T | _End] = Queue(maxsize=ahead)
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, queue, stopped), daemon=True)
    thread.start()
    try:
        while True:
            item = queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        # A source that waits for input cannot be interrupted. Its thread ends with the program.
        thread.join(timeout=5 * _POLL_S)


def _fill(items: Iterable[T], queue: Queue[T | _End], stopped: threading.Event) -> None:
    end = _End()
    try:
        for item in items:
            if not _put(queue, item, stopped):
                return
    except BaseException as error:  # raised again in the consumer's thread
        end = _End(error)
    _put(queue, end, stopped)


def _put(queue: Queue[T | _End], item: T | _End, stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            queue.put(item, timeout=_POLL_S)
        except Full:
            continue
        return True
    return False
