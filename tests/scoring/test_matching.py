"""Lenient scores, compared with an exhaustive search over all one-to-one matchings."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.values import check_values
from tf_tokclf.labels.sentence import Span
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.matching import SpanArrays, align_spans, best_matching, lenient_counts, overlapping_pairs

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


@given(gold=spans(), predicted=spans())
def test_counts_are_those_of_the_best_matching(gold, predicted):
    counts = lenient_counts(arrays(gold), arrays(predicted))
    for name, credit in CREDIT.items():
        assert counts[name] == Counts(best_total(gold, predicted, credit), len(predicted), len(gold)), name


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


def test_values():
    check_values(SpanArrays, slots=True, by_identity=True)
    columns = arrays([Span(0, 1, "X"), Span(2, 5, "Y")])
    assert len(columns) == 2
    kept = columns.keep(np.array([False, True]))
    assert (kept.start.tolist(), kept.end.tolist(), kept.type.tolist()) == ([2], [5], [1])


@given(gold=spans(), predicted=spans())
def test_overlapping_pairs_are_all_of_them_in_order(gold, predicted):
    expected = [(i, j) for i, a in enumerate(gold) for j, b in enumerate(predicted) if overlap(a, b)]
    of_gold, of_predicted = overlapping_pairs(arrays(gold), arrays(predicted))
    assert list(zip(of_gold.tolist(), of_predicted.tolist())) == expected


@given(gold=spans(), predicted=spans(), data=st.data())
def test_a_matching_is_one_to_one_and_weighs_most(gold, predicted, data):
    pairs = [(i, j) for i, a in enumerate(gold) for j, b in enumerate(predicted) if overlap(a, b)]
    weights = data.draw(st.lists(st.integers(1, 9), min_size=len(pairs), max_size=len(pairs)))
    chosen = best_matching(pairs, weights)
    assert chosen == sorted(chosen)
    for side in (0, 1):
        assert len({pairs[k][side] for k in chosen}) == len(chosen)
    by_pair = {(gold[i], predicted[j]): weight for (i, j), weight in zip(pairs, weights)}

    def credit(a: Span, b: Span) -> int:
        return by_pair.get((a, b), by_pair.get((b, a), 0))

    assert sum(weights[k] for k in chosen) == best_total(gold, predicted, credit)


def test_among_equal_matchings_the_earlier_pairs_are_taken():
    assert best_matching([(0, 0), (0, 1)], [1, 1]) == [0]
    assert best_matching([(0, 0), (1, 0), (1, 1), (2, 1)], [1, 1, 1, 1]) == [0, 2]
    assert best_matching([], []) == []


def best_shared(gold, predicted) -> tuple[int, int, int, int]:
    """The numbers of equal boundaries, equal types, pairs and shared words of the best matching."""
    short, long = sorted((gold, predicted), key=len)
    qualities = []
    for some in permutations(long, len(short)):
        pairs = [(a, b) for a, b in zip(short, some) if overlap(a, b)]
        qualities.append(quality(pairs))
    return max(qualities)


def quality(pairs) -> tuple[int, int, int, int]:
    shared = [min(a.end, b.end) - max(a.start, b.start) for a, b in pairs]
    return sum(bounds(a, b) for a, b in pairs), sum(a.type == b.type for a, b in pairs), len(pairs), sum(shared)


@given(gold=spans(), predicted=spans())
def test_spans_are_aligned_by_bounds_types_pairs_and_shared_words(gold, predicted):
    aligned = align_spans(gold[::-1], predicted[::-1])
    assert sorted(a for a, _ in aligned if a) == sorted(gold)
    assert sorted(b for _, b in aligned if b) == sorted(predicted)
    assert quality([(a, b) for a, b in aligned if a and b]) == best_shared(gold, predicted)
    starts = [min(span for span in pair if span) for pair in aligned]
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    ("gold", "predicted", "partners"),
    [
        # Equal boundaries take precedence over two equal types.
        ([(0, 2, "X")], [(0, 2, "Y")], [((0, 2, "X"), (0, 2, "Y"))]),
        # An equal type takes precedence over more shared words.
        (
            [(0, 4, "X")],
            [(0, 3, "Y"), (3, 4, "X")],
            [((0, 3, "Y"), None), ((0, 4, "X"), (3, 4, "X"))],
        ),
        # More shared words decide if everything else is equal.
        (
            [(0, 5, "X")],
            [(0, 2, "Y"), (2, 5, "Y")],
            [((0, 2, "Y"), None), ((0, 5, "X"), (2, 5, "Y"))],
        ),
        # Two pairs take precedence over one that shares more words.
        (
            [(0, 2, "X"), (2, 6, "X")],
            [(1, 5, "Y"), (5, 6, "Y")],
            [((0, 2, "X"), (1, 5, "Y")), ((2, 6, "X"), (5, 6, "Y"))],
        ),
        # One pair of equal type takes precedence over two pairs of different types.
        (
            [(0, 3, "X"), (3, 6, "Y")],
            [(0, 1, "Z"), (2, 5, "X")],
            [((0, 1, "Z"), None), ((0, 3, "X"), (2, 5, "X")), ((3, 6, "Y"), None)],
        ),
    ],
)
def test_what_spans_are_held_against(gold, predicted, partners):
    aligned = align_spans([Span(*x) for x in gold], [Span(*x) for x in predicted])
    found = {tuple(sorted((s.start, s.end, s.type) for s in pair if s)) for pair in aligned}
    assert found == {tuple(sorted(x for x in pair if x)) for pair in partners}


def test_spans_that_touch_are_no_pair():
    first, second = arrays([Span(0, 2, "X")]), arrays([Span(2, 3, "X")])
    assert {c.correct for c in lenient_counts(first, second).values()} == {0}
    assert align_spans([Span(0, 2, "X")], [Span(2, 3, "X")]) == [(Span(0, 2, "X"), None), (None, Span(2, 3, "X"))]
    assert align_spans([], []) == []


def test_counts_are_whole_numbers_but_for_halves():
    counts = lenient_counts(arrays([Span(0, 2, "X")]), arrays([Span(0, 1, "X"), Span(3, 4, "Y")]))
    assert repr(counts) == (
        "{'partial': Counts(correct=0.5, predicted=2, gold=1), 'boundary': Counts(correct=0, predicted=2, gold=1),"
        " 'type': Counts(correct=1, predicted=2, gold=1)}"
    )
