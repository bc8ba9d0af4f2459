"""Batch requests that arrive at about the same time, and process them in one thread."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tf_tokclf.serving.failures import log_failure

T = TypeVar("T")
R = TypeVar("R")

# Weight of the newest batch in the moving average of the time per item.
_NEWEST_SHARE = 0.2
_LONGEST_RETRY_S = 60


class Busy(Exception):
    """Too many items are waiting. A retry may succeed after `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many texts are waiting; try again in {retry_after_s} s")


class Closed(Exception):
    """No more jobs are accepted."""


class WorkFailed(Exception):
    """The work on a request failed. The cause is in the log, without the text of the request."""


class Abandoned(Exception):
    """The work on a batch was stopped, because it took so long that no client is waiting any more."""


@dataclass
class _Job(Generic[T, R]):
    items: Sequence[T]
    future: Future[list[R]] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[T, R]):
    """Collects jobs, each with several items, into batches, and returns to each job its own results.

    work: computes the results for the items of several jobs; returns one list per job.
    max_items: largest number of items in a batch. A larger job is a batch of its own.
    max_wait_s: how long the first job waits for others.
    max_waiting: largest number of waiting items; `submit` raises Busy if there would be more.
    watch: called after each batch with its number of jobs, number of items and time in seconds.
    on_failure: called if the thread ends before `close`.

    Jobs whose futures are cancelled while they wait are dropped. If a batch fails, each of its jobs is tried alone, so
    that one job cannot fail the others. Only Abandoned fails the whole batch. Errors in `work` never end the thread,
    even if they do not derive from Exception (such as a panic in the Rust code of tokenizers). SystemExit and
    KeyboardInterrupt do end it: all jobs then fail with Closed, and `failure` is the cause.
    """

    def __init__(
        self,
        work: Callable[[list[Sequence[T]]], list[list[R]]],
        *,
        max_items: int,
        max_wait_s: float,
        max_waiting: int,
        watch: Callable[[int, int, float], None] | None = None,
        on_failure: Callable[[], None] | None = None,
    ) -> None:
        self._work = work
        self._max_items = max_items
        self._max_wait_s = max_wait_s
        self._max_waiting = max_waiting
        self._watch = watch
        self._on_failure = on_failure
        self.failure: BaseException | None = None
        self._jobs: deque[_Job[T, R]] = deque()
        self._n_waiting = 0
        self._seconds_an_item = 0.0
        self._running: list[_Job[T, R]] = []
        self._running_since: float | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)

    @property
    def n_waiting(self) -> int:
        """Number of items that are not in a batch yet."""
        return self._n_waiting

    @property
    def busy_s(self) -> float:
        """Seconds since the current batch was started; 0 if there is none."""
        since = self._running_since
        return 0.0 if since is None else time.monotonic() - since

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Accept no more jobs, finish those that wait, and return when that is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def submit(self, items: Sequence[T]) -> Future[list[R]]:
        """Queue a job. The future's result has one entry for each item, in order."""
        job: _Job[T, R] = _Job(items)
        with self._changed:
            if self._closed:
                raise Closed
            if self._n_waiting + len(items) > self._max_waiting:
                self._drop_cancelled()
            if self._n_waiting + len(items) > self._max_waiting:
                raise Busy(self._retry_after_s())
            self._jobs.append(job)
            self._n_waiting += len(items)
            self._changed.notify()
        return job.future

    def _drop_cancelled(self) -> None:
        self._jobs = deque(job for job in self._jobs if not job.future.cancelled())
        self._n_waiting = sum(len(job.items) for job in self._jobs)

    def _retry_after_s(self) -> int:
        """Estimated time for the waiting items, in whole seconds."""
        return min(max(math.ceil(self._n_waiting * self._seconds_an_item), 1), _LONGEST_RETRY_S)

    def _run(self) -> None:
        try:
            while (batch := self._next_batch()) is not None:
                self._running = [job for job in batch if job.future.set_running_or_notify_cancel()]
                if self._running:
                    self._running_since = time.monotonic()
                    self._finish(self._running)
                    self._running, self._running_since = [], None
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Record that the thread ends, and fail all jobs."""
        with self._changed:
            self.failure = error
            self._closed = True
            waiting, self._jobs, self._n_waiting = self._jobs, deque(), 0
            self._running_since = None
        log_failure(error, "ended the thread that runs the model")
        unanswered = [job for job in self._running if not job.future.done()]
        unanswered += [job for job in waiting if job.future.set_running_or_notify_cancel()]
        for job in unanswered:
            job.future.set_exception(Closed())
        if self._on_failure:
            self._on_failure()

    def _next_batch(self) -> list[_Job[T, R]] | None:
        """The next jobs, in order of arrival; None at the end."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            if not self._jobs:
                return None
            # The time that the job waited while another batch ran counts.
            until = self._jobs[0].since + self._max_wait_s
            while self._n_waiting < self._max_items and not self._closed:
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            batch: list[_Job[T, R]] = []
            n_items = 0
            while self._jobs and (not batch or n_items + len(self._jobs[0].items) <= self._max_items):
                job = self._jobs.popleft()
                n_items += len(job.items)
                batch.append(job)
            self._n_waiting -= n_items
            return batch

    def _finish(self, jobs: list[_Job[T, R]]) -> None:
        try:
            found = self._timed_work(jobs)
        except Abandoned as error:
            for job in jobs:
                job.future.set_exception(error)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._finish([job])
                return
            log_failure(error, "in a batch")
            jobs[0].future.set_exception(WorkFailed(type(error).__name__))
        else:
            for job, results in found:
                job.future.set_result(results)

    def _timed_work(self, jobs: list[_Job[T, R]]) -> list[tuple[_Job[T, R], list[R]]]:
        begun = time.perf_counter()
        found = list(zip(jobs, self._work([job.items for job in jobs]), strict=True))
        seconds = time.perf_counter() - begun
        n_items = sum(len(job.items) for job in jobs)
        newest = seconds / max(n_items, 1)
        self._seconds_an_item += _NEWEST_SHARE * (newest - self._seconds_an_item)
        if self._watch:
            self._watch(len(jobs), n_items, seconds)
        return found
