"""Requests that arrive at about the same time, worked on together by one thread."""

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

# Of a batch's time an item, this share comes from the newest batch.
_NEWEST_SHARE = 0.2
_LONGEST_RETRY_S = 60


class Busy(Exception):
    """Too much waits already; worth another try after `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too much waits already; try again in {retry_after_s} s")


class Closed(Exception):
    """No more is taken on."""


class WorkFailed(Exception):
    """The work on a request failed. The cause is in the log, without what it was about."""


class Abandoned(Exception):
    """The work on a batch was given up: it took so long that nobody waits for it any more."""


@dataclass
class _Job(Generic[T, R]):
    items: Sequence[T]
    future: Future[list[R]] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[T, R]):
    """Gathers jobs, each some items, into batches, and gives each job its own results.

    work: the results of several jobs' items, in one list a job. max_items: a batch ends before the job that would
    make it larger; a larger job is a batch of its own. max_wait_s: so long the first job waits for others. max_waiting:
    items of waiting jobs, beyond which `submit` raises Busy. watch: called after each batch with its numbers of jobs
    and items and its seconds. on_failure: called when the thread ends before `close`.

    Jobs whose futures are cancelled while they wait are dropped. When a batch fails, each of its jobs is tried by
    itself, so that one job cannot fail the others; the exception is Abandoned, which fails the whole batch. What `work`
    raises never ends the thread, even if it does not derive from Exception (a panic in tokenizers' Rust code does not).
    SystemExit and KeyboardInterrupt do end it: every job then fails with Closed, and `failure` has the cause.
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
        """Items of jobs that no batch has taken yet."""
        return self._n_waiting

    @property
    def busy_s(self) -> float:
        """How long the batch at work has been so."""
        since = self._running_since
        return 0.0 if since is None else time.monotonic() - since

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Take on no more, finish what waits, and return when that is done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def submit(self, items: Sequence[T]) -> Future[list[R]]:
        """A result for each item, in order, as soon as it is there."""
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
        """How long what waits will take, in whole seconds."""
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
        """Note that the thread ends, and let nobody wait for it."""
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
        """The jobs to work on next, in order of arrival; None at the end."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            if not self._jobs:
                return None
            # Who has waited while another batch ran waits no longer for company.
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
