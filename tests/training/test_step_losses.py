"""Losses are read late and together, and their times add up."""

from __future__ import annotations

import time

import pytest

from tf_tokclf.training import step_losses
from tf_tokclf.training.step_losses import UnreadLosses


class OnDevice:
    """Stands for a loss on a GPU. n_read counts the copies of all such losses."""

    n_read = 0

    def __init__(self, value: float) -> None:
        self._value = value

    def __float__(self) -> float:
        OnDevice.n_read += 1
        return self._value


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[float], float]]:
    """What `unread` passed on: the losses of each reading, and the seconds per step."""
    OnDevice.n_read = 0
    monkeypatch.setattr(step_losses, "SECONDS_BETWEEN", 60.0)
    return []


def unread(read: list[tuple[list[float], float]]) -> UnreadLosses:
    return UnreadLosses(lambda losses, seconds: read.append((list(losses), seconds)))


def test_losses_are_read_when_one_is_needed_in_order_and_once(read: list):
    losses = unread(read)
    first, second = (losses.add(OnDevice(value)) for value in (1.0, 2.0))
    assert (OnDevice.n_read, read) == (0, [])
    assert float(second) == 2.0
    third = losses.add(OnDevice(3.0))
    assert (float(first), float(third), float(first)) == (1.0, 3.0, 1.0)
    assert [values for values, _ in read] == [[1.0, 2.0], [3.0]]
    losses.read()
    assert (OnDevice.n_read, len(read)) == (3, 2)


def test_the_times_of_all_steps_are_the_time_until_they_were_read(read: list):
    began = time.perf_counter()
    losses = unread(read)
    for _ in range(2):
        for _ in range(3):
            losses.add(OnDevice(1.0))
        time.sleep(0.02)
        losses.read()
        time.sleep(0.02)
    total = sum(seconds * len(values) for values, seconds in read)
    assert 0.06 <= total <= time.perf_counter() - began - 0.02


def test_no_loss_stays_unread_for_long(read: list, monkeypatch: pytest.MonkeyPatch):
    losses = unread(read)
    losses.add(OnDevice(1.0))
    monkeypatch.setattr(step_losses, "SECONDS_BETWEEN", 0.0)
    losses.add(OnDevice(2.0))
    assert [values for values, _ in read] == [[1.0, 2.0]]
