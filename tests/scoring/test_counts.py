"""Counts, their ratios, and their sums over sentences and types."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.values import check_values
from tf_tokclf.scoring.counts import Average, Counts, CountTable, average, tally

NAMES = ("Z", "X", "Y")
counts = st.builds(Counts, st.integers(0, 3), st.integers(3, 9), st.integers(3, 9))


def test_counts_are_values():
    check_values(Counts, Average, slots=True)
    check_values(CountTable, by_identity=True)
    assert len({Counts(1, 2, 3), Counts(1, 2, 3)}) == 1


def test_ratios():
    some = Counts(correct=1, predicted=2, gold=4)
    assert (some.precision, some.recall, some.f1, some.support) == (0.5, 0.25, pytest.approx(1 / 3), 4)


def test_a_ratio_with_nothing_below_the_line_is_zero():
    nothing = Counts()
    assert nothing == Counts(0, 0, 0)
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.support) == (0, 0, 0, 0)
    assert (Counts(gold=3).precision, Counts(predicted=3).recall) == (0, 0)


def test_averages_by_hand():
    of = [Counts(1, 2, 1), Counts(0, 0, 3), Counts(1, 1, 4)]
    assert average(of, weighted=False) == Average(0.5, pytest.approx(1.25 / 3), pytest.approx((2 / 3 + 0.4) / 3), 8)
    assert average(of, weighted=True) == Average(
        pytest.approx(4.5 / 8), pytest.approx(2 / 8), pytest.approx((2 / 3 + 4 * 0.4) / 8), 8
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_the_average_of_nothing_is_zero(weighted):
    assert average([], weighted=weighted) == Average(0, 0, 0, 0)
    assert average(iter([Counts(predicted=1)]), weighted=weighted) == Average(0, 0, 0, 0)


items = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=9)


def made(correct, predicted, gold) -> CountTable:
    """A table of items that are given as pairs of sentence and type."""
    kinds = [np.array([s * len(NAMES) + t for s, t in side], np.int64) for side in (correct, predicted, gold)]
    return CountTable(NAMES, 4, *tally(kinds, len(NAMES)))


@given(correct=items, predicted=items, gold=items)
def test_a_table_counts_items_by_sentence_and_type(correct, predicted, gold):
    table = made(correct, predicted, gold)
    counted = [Counter(side) for side in (correct, predicted, gold)]
    dense = [[[one[s, t] for one in counted] for t in range(3)] for s in range(4)]
    assert table.per_sentence().tolist() == dense
    assert table.per_sentence(["Y", "new", "Z"]).tolist() == [[row[2], [0, 0, 0], row[0]] for row in dense]
    by_type = {name: Counts(*np.sum(dense, axis=0)[t].tolist()) for t, name in enumerate(NAMES)}
    assert list(table.by_type.items()) == sorted((name, c) for name, c in by_type.items() if c != Counts())
    assert table.overall == Counts(len(correct), len(predicted), len(gold))
    assert len(table.counts) == len({*correct, *predicted, *gold})


def test_counts_are_whole_numbers():
    """Counts are written to JSON as integers: 1, not 1.0."""
    table = made([(0, 1)], [(0, 1)], [(0, 1), (3, 1)])
    assert repr(table.overall) == "Counts(correct=1, predicted=1, gold=2)"
    assert (table.counts.dtype, table.per_sentence().dtype) == (np.int32, np.int32)


def test_a_table_without_types():
    table = CountTable((), 2, *(np.zeros(0, np.int64) for _ in range(2)), np.zeros((0, 3), np.int32))
    assert (table.by_type, table.overall) == ({}, Counts())
    assert table.per_sentence().shape == (2, 0, 3)
    assert table.per_sentence(["X"]).tolist() == [[[0, 0, 0]]] * 2


@given(counts, counts)
def test_counts_are_added_field_by_field(one, other):
    both = one + other
    assert (both.correct, both.predicted, both.gold) == (
        one.correct + other.correct,
        one.predicted + other.predicted,
        one.gold + other.gold,
    )


def test_counts_of_sentences_are_those_of_the_dense_table():
    table = CountTable(
        ("X", "Y"), 4, np.array([0, 0, 3]), np.array([0, 1, 1]), np.array([(1, 1, 1), (0, 2, 1), (1, 1, 2)])
    )
    dense = table.per_sentence()
    assert table.of_sentences().tolist() == dense.sum(axis=1).tolist()
    for i, name in enumerate(table.types):
        assert table.of_sentences(name).tolist() == dense[:, i].tolist()
    assert table.of_sentences("Z").tolist() == [[0, 0, 0]] * 4
