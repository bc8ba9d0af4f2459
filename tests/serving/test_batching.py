"""Batches of jobs: each job gets its own results, whatever happens to the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.waiting import LIMIT_S, wait_until
from tf_tokclf.serving.batching import Abandoned, Batcher, Busy, Closed, WorkFailed


class Work:
    """Multiplies numbers by ten, records the batches, waits at a gate, and raises `error` for 13."""

    def __init__(self, *, open: bool = True, error: type[BaseException] = ValueError) -> None:
        self.error = error
        self.batches: list[list[list[int]]] = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        if open:
            self.gate.set()

    def __call__(self, jobs: list[Sequence[int]]) -> list[list[int]]:
        self.batches.append([list(job) for job in jobs])
        self.begun.set()
        assert self.gate.wait(LIMIT_S)
        for job in jobs:
            if 13 in job:
                raise self.error(f"a secret: {job}")
        return [[10 * item for item in job] for job in jobs]


class Panic(BaseException):
    """Like the panics of Rust libraries, which `except Exception` does not catch."""


def batcher_of(work: Work, **options: Any) -> Batcher[int, int]:
    batcher = Batcher(work, **{"max_items": 4, "max_wait_s": 0.2, "max_waiting": 10, **options})
    batcher.start()
    return batcher


def behind_a_closed_gate(
    *jobs: list[int], error: type[BaseException] = ValueError, **options: Any
) -> tuple[Work, Batcher[int, int], list[Future]]:
    """Start a batch that waits at the gate, and jobs that wait for it."""
    work = Work(open=False, error=error)
    batcher = batcher_of(work, **options)
    first = batcher.submit([0])
    assert work.begun.wait(LIMIT_S)
    return work, batcher, [first, *map(batcher.submit, jobs)]


def test_jobs_that_arrive_together_run_together():
    work, batcher, futures = behind_a_closed_gate([1], [2, 3], [4])
    work.gate.set()
    assert [future.result(LIMIT_S) for future in futures] == [[0], [10], [20, 30], [40]]
    batcher.close()
    assert work.batches == [[[0]], [[1], [2, 3], [4]]]


def test_a_batch_ends_before_the_job_that_is_too_much():
    work, batcher, futures = behind_a_closed_gate([1, 2, 3], [4, 5], [6, 7, 8, 9, 10])
    work.gate.set()
    batcher.close()
    assert futures[-1].result(0) == [60, 70, 80, 90, 100]
    assert work.batches[1:] == [[[1, 2, 3]], [[4, 5]], [[6, 7, 8, 9, 10]]]


def test_a_lone_job_waits_no_longer_than_it_has_to():
    batcher = batcher_of(Work(), max_wait_s=0.05)
    # A batch may contain four jobs, but it does not wait until it is full.
    assert batcher.submit([1]).result(LIMIT_S) == [10]
    batcher.close()


def test_a_full_batch_does_not_wait():
    batcher = batcher_of(Work(), max_wait_s=10 * LIMIT_S)
    assert batcher.submit([1, 2, 3, 4]).result(LIMIT_S) == [10, 20, 30, 40]
    batcher.close()


def test_what_does_not_fit_into_the_queue_is_turned_away():
    work, batcher, futures = behind_a_closed_gate([1] * 6, max_waiting=8)
    with pytest.raises(Busy) as refused:
        batcher.submit([2] * 3)
    assert refused.value.retry_after_s >= 1
    futures.append(batcher.submit([2] * 2))
    assert batcher.n_waiting == 8
    work.gate.set()
    assert [len(future.result(LIMIT_S)) for future in futures] == [1, 6, 2]
    assert batcher.submit([3] * 8).result(LIMIT_S) == [30] * 8
    batcher.close()


def test_jobs_that_nobody_waits_for_are_dropped_and_make_room():
    work, batcher, futures = behind_a_closed_gate([1] * 8, max_waiting=8)
    assert futures[1].cancel()
    later = batcher.submit([2] * 8)
    assert later.cancel()
    last = batcher.submit([3])
    work.gate.set()
    assert last.result(LIMIT_S) == [30]
    batcher.close()
    assert work.batches == [[[0]], [[3]]]


@pytest.mark.parametrize("kind", [ValueError, Panic])
def test_only_the_job_fails_that_has_to(kind: type[BaseException], caplog: pytest.LogCaptureFixture):
    work, batcher, futures = behind_a_closed_gate([1], [13], [2], error=kind)
    work.gate.set()
    assert futures[1].result(LIMIT_S) == [10]
    assert futures[3].result(LIMIT_S) == [20]
    with pytest.raises(WorkFailed, match=kind.__name__):
        futures[2].result(LIMIT_S)
    assert batcher.submit([4]).result(LIMIT_S) == [40]
    batcher.close()
    assert caplog.text.count(f"{kind.__name__} in a batch") == 1
    assert "[13]" not in caplog.text


def test_a_wrong_number_of_results_fails_its_jobs_and_not_the_thread():
    batcher: Batcher[int, int] = Batcher(lambda jobs: [], max_items=4, max_wait_s=0, max_waiting=4)
    batcher.start()
    for _ in range(2):
        with pytest.raises(WorkFailed):
            batcher.submit([1]).result(LIMIT_S)
    batcher.close()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_nobody_waits_for_a_thread_that_has_ended(kind: type[BaseException], caplog: pytest.LogCaptureFixture):
    ended = threading.Event()
    work, batcher, futures = behind_a_closed_gate([1], [13], [2], [3], max_items=1, error=kind, on_failure=ended.set)
    work.gate.set()
    assert ended.wait(LIMIT_S)
    assert [future.result(LIMIT_S) for future in futures[:2]] == [[0], [10]]
    assert [type(future.exception(LIMIT_S)) for future in futures[2:]] == [Closed] * 3
    assert isinstance(batcher.failure, kind)
    assert (batcher.n_waiting, batcher.busy_s) == (0, 0.0)
    with pytest.raises(Closed):
        batcher.submit([4])
    batcher.close()
    assert f"{kind.__name__} ended the thread that runs the model" in caplog.text


def test_work_that_was_given_up_is_not_tried_again():
    calls = []

    def give_up(jobs: list[Sequence[int]]) -> list[list[int]]:
        calls.append(jobs)
        raise Abandoned

    batcher: Batcher[int, int] = Batcher(give_up, max_items=2, max_wait_s=10 * LIMIT_S, max_waiting=4)
    batcher.start()
    futures = [batcher.submit([1]), batcher.submit([2])]
    batcher.close()
    assert [type(future.exception(0)) for future in futures] == [Abandoned, Abandoned]
    assert calls == [[[1], [2]]]


def test_closing_finishes_what_waits():
    work, batcher, futures = behind_a_closed_gate([1], [2])
    closing = threading.Thread(target=batcher.close)
    closing.start()
    wait_until(lambda: is_closed(batcher))
    assert closing.is_alive()
    work.gate.set()
    closing.join(LIMIT_S)
    assert [future.result(0) for future in futures] == [[0], [10], [20]]


def is_closed(batcher: Batcher[int, int]) -> bool:
    try:
        batcher.submit([])
    except Closed:
        return True
    return False


def test_many_threads_get_their_own():
    watched: list[tuple[int, int, float]] = []
    batcher: Batcher[int, int] = Batcher(
        Work(), max_items=16, max_wait_s=0.001, max_waiting=10_000, watch=lambda *batch: watched.append(batch)
    )
    batcher.start()

    def ask(number: int) -> bool:
        items = list(range(1000 * number, 1000 * number + number % 5))
        return batcher.submit(items).result(LIMIT_S) == [10 * item for item in items]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(500, 1500)))
    batcher.close()
    assert sum(n_jobs for n_jobs, _, _ in watched) == 1000
    assert max(n_items for _, n_items, _ in watched) <= 16
    assert len(watched) < 1000
