"""Forgiving scores against every one-to-one matching there is."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokclf.data.sentence import Span
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.matching import SpanArrays, lenient_counts

TYPES = ("X", "Y")


@st.composite
def spans(draw):
    pieces = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(TYPES)), max_size=5))
    found, position = [], 0
    for gap, length, type_ in pieces:
        found.append(Span(position + gap, position + gap + length, type_))
        position += gap + length
    return found


def arrays(found: list[Span]) -> SpanArrays:
    columns = ([s.start for s in found], [s.end for s in found], [TYPES.index(s.type) for s in found])
    return SpanArrays(*(np.array(column, np.int64) for column in columns))


def best_total(gold: list[Span], predicted: list[Span], credit) -> float:
    short, long = sorted((gold, predicted), key=len)
    return max(sum(credit(a, b) for a, b in zip(short, some)) for some in permutations(long, len(short)))


def overlap(a: Span, b: Span) -> bool:
    return a.start < b.end and b.start < a.end


def bounds(a: Span, b: Span) -> bool:
    return (a.start, a.end) == (b.start, b.end)


CREDIT = {
    "partial": lambda a, b: 1 if bounds(a, b) else 0.5 if overlap(a, b) else 0,
    "boundary": lambda a, b: int(bounds(a, b)),
    "type": lambda a, b: int(overlap(a, b) and a.type == b.type),
}


@settings(max_examples=300, deadline=None)
@given(gold=spans(), predicted=spans())
def test_counts_are_those_of_the_best_matching(gold, predicted):
    counts = lenient_counts(arrays(gold), arrays(predicted))
    for name, credit in CREDIT.items():
        assert counts[name] == Counts(best_total(gold, predicted, credit), len(predicted), len(gold)), name


@settings(max_examples=100, deadline=None)
@given(gold=spans(), predicted=spans())
def test_gold_and_predicted_may_change_places(gold, predicted):
    there, back = (
        lenient_counts(arrays(gold), arrays(predicted)),
        lenient_counts(arrays(predicted), arrays(gold)),
    )
    assert {name: c.correct for name, c in there.items()} == {name: c.correct for name, c in back.items()}


def test_a_long_prediction_is_credited_once():
    gold = [Span(0, 1, "X"), Span(1, 2, "X"), Span(2, 3, "X")]
    counts = lenient_counts(arrays(gold), arrays([Span(0, 3, "X")]))
    assert counts["type"].correct == 1
    assert counts["partial"].correct == 0.5
    assert counts["partial"].f1 == pytest.approx(2 * 0.5 / 4)
