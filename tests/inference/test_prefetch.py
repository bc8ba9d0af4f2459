"""Stages in threads behave like the loops that they replace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tf_tokclf.inference.prefetch import in_thread


def test_items_come_in_order():
    assert list(in_thread(in_thread(iter(range(100)), ahead=3))) == list(range(100))


class Panic(BaseException):
    """Like the panics of Rust libraries, which `except Exception` does not catch."""


@pytest.mark.parametrize("kind", [KeyError, Panic])
def test_an_error_comes_behind_the_items_before_it(kind: type[BaseException]):
    def source() -> Iterator[int]:
        yield 1
        raise kind("lost")

    items = in_thread(source())
    assert next(items) == 1
    with pytest.raises(kind, match="lost"):
        next(items)


def test_a_source_stops_with_its_consumer_and_is_never_far_ahead():
    made = []

    def source() -> Iterator[int]:
        for i in range(1000):
            made.append(i)
            yield i

    items = in_thread(source(), ahead=2)
    assert next(items) == 0
    items.close()
    assert len(made) <= 5
