"""Properties of windows: every word is owned once, no window is too long, and the overlap is as set."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.values import check_values
from tf_tokclf.encoding.windows import WindowPlan, check_window, plan_windows, split_long
from tf_tokclf.errors import UserError

counts = st.lists(st.integers(0, 9), min_size=0, max_size=60)


@given(st.lists(counts, min_size=1, max_size=6), st.integers(2, 30), st.data())
def test_each_word_is_owned_by_one_window(sentences: list[list[int]], capacity: int, data: st.DataObject):
    overlap = data.draw(st.integers(0, capacity - 1))
    context = data.draw(st.integers(0, 3))
    n_pieces = np.array([n for sentence in sentences for n in sentence], dtype=int)
    starts = np.concatenate([[0], np.cumsum([len(s) for s in sentences])])
    plan = plan_windows(n_pieces, starts, capacity=capacity, overlap=overlap, context_sentences=context)
    owned = np.zeros(len(n_pieces), dtype=int)
    for sentence, first, last, own_first, own_last in zip(
        plan.sentence, plan.first, plan.last, plan.own_first, plan.own_last
    ):
        assert first <= own_first <= own_last <= last
        assert starts[sentence] <= own_first
        assert own_last <= starts[sentence + 1]
        # A word with more subword tokens than fit counts only those that fit.
        assert np.minimum(n_pieces[first:last], capacity).sum() <= capacity
        owned[own_first:own_last] += 1
    assert (owned == 1).all()


@given(counts, st.integers(2, 30), st.data())
def test_neighbouring_windows_share_the_overlap_where_words_allow(
    n_pieces: list[int], capacity: int, data: st.DataObject
):
    overlap = data.draw(st.integers(0, capacity - 1))
    pieces = np.minimum(np.array([*n_pieces, 1], dtype=int), 1)
    runs = split_long(pieces, capacity=capacity, overlap=overlap)
    for (_, last, _, _), (first, _, _, _) in pairwise(runs):
        assert pieces[first:last].sum() >= overlap


def test_truncation_keeps_the_first_window_only():
    plan = plan_windows(np.ones(10, int), np.array([0, 10]), capacity=4, overlap=1, truncate=True)
    assert len(plan.sentence) == 1
    assert (plan.first[0], plan.last[0]) == (plan.own_first[0], plan.own_last[0]) == (0, 4)


def test_context_stays_in_its_document_and_unscored():
    plan = plan_windows(
        np.ones(6, int),
        np.array([0, 2, 4, 6]),
        capacity=10,
        overlap=1,
        context_sentences=1,
        documents=np.array(["a", "a", "b"], dtype=object),
    )
    assert list(zip(plan.first, plan.last)) == [(0, 4), (0, 4), (4, 6)]
    assert list(zip(plan.own_first, plan.own_last)) == [(0, 2), (2, 4), (4, 6)]


def slow_runs(n_pieces: list[int], capacity: int, overlap: int) -> list[tuple[int, int]]:
    """A reference implementation of the windows of a long sentence, word by word."""
    runs, first = [], 0
    while True:
        last = first
        while last < len(n_pieces) and sum(n_pieces[first : last + 1]) <= capacity:
            last += 1
        runs.append((first, last))
        if last == len(n_pieces):
            return runs
        start = last
        while start and sum(n_pieces[start:last]) < overlap:
            start -= 1
        while sum(n_pieces[start : last + 1]) > capacity:
            start += 1
        first = max(start, first + 1)


def slow_owner(word: int, n_pieces: list[int], runs: list[tuple[int, int]]) -> int:
    """The first window in which the word has the largest distance to the nearer edge."""

    def context(first: int, last: int) -> int:
        left = sum(n_pieces[first:word]) if first else sum(n_pieces)
        right = sum(n_pieces[word + 1 : last]) if last < len(n_pieces) else sum(n_pieces)
        return min(left, right) if first <= word < last else -1

    return max(range(len(runs)), key=lambda i: (context(*runs[i]), -i))


@given(counts, st.integers(1, 30), st.data())
def test_long_sentences_are_cut_as_word_by_word(n_pieces: list[int], capacity: int, data: st.DataObject):
    overlap = data.draw(st.integers(0, capacity - 1))
    shown = [min(n, capacity) for n in n_pieces]
    runs = slow_runs(shown, capacity, overlap)
    found = split_long(np.array(n_pieces, dtype=int), capacity=capacity, overlap=overlap)
    assert [(first, last) for first, last, _, _ in found] == runs
    owned = [i for i, (_, _, first, last) in enumerate(found) for _ in range(first, last)]
    assert owned == [slow_owner(word, shown, runs) for word in range(len(n_pieces))]


def slow_context(sentence: int, sizes: list[int], documents: list[str], capacity: int, n: int) -> tuple[int, int]:
    """The first and last sentence in the window of a sentence that fits."""
    low = high = sentence
    closed = set()
    for _ in range(n):
        for side in ("left", "right"):
            neighbour = low - 1 if side == "left" else high + 1
            wider = (neighbour, high) if side == "left" else (low, neighbour)
            there = 0 <= neighbour < len(sizes) and documents[neighbour] == documents[sentence]
            if side not in closed and there and sum(sizes[wider[0] : wider[1] + 1]) <= capacity:
                low, high = wider
            else:
                closed.add(side)
    return low, high


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 3), max_size=5), st.sampled_from("ab")), max_size=8),
    st.integers(2, 20),
    st.integers(0, 4),
    st.booleans(),
)
def test_sentences_that_fit_are_widened_by_whole_neighbours(sentences, capacity: int, n: int, in_documents: bool):
    pieces = [p for p, _ in sentences]
    documents = [d if in_documents else "" for _, d in sentences]
    starts = np.concatenate([[0], np.cumsum([len(p) for p in pieces])]).astype(int)
    plan = plan_windows(
        np.array([x for p in pieces for x in p], dtype=int),
        starts,
        capacity=capacity,
        overlap=0,
        context_sentences=n,
        documents=np.array(documents, dtype=object) if in_documents else None,
    )
    rows = list(zip(plan.sentence, plan.first, plan.last, plan.own_first, plan.own_last))
    assert [(row[0], row[3]) for row in rows] == sorted((row[0], row[3]) for row in rows)
    assert {row[0] for row in rows} == {i for i, p in enumerate(pieces) if p}
    sizes = [sum(p) for p in pieces]
    for sentence, first, last, own_first, own_last in rows:
        if sizes[sentence] <= capacity:
            low, high = slow_context(sentence, sizes, documents, capacity, n)
            assert (first, last) == (starts[low], starts[high + 1])
            assert (own_first, own_last) == (starts[sentence], starts[sentence + 1])


def test_windows_come_in_the_order_of_sentences_and_words():
    plan = plan_windows(np.ones(9, int), np.array([0, 1, 8, 9]), capacity=4, overlap=1)
    assert plan.sentence.tolist() == [0, 1, 1, 2]
    assert list(zip(plan.first, plan.last)) == [(0, 1), (1, 5), (4, 8), (8, 9)]
    assert list(zip(plan.own_first, plan.own_last)) == [(0, 1), (1, 5), (5, 8), (8, 9)]


def test_a_sentence_that_fills_its_window_has_no_other():
    plan = plan_windows(np.ones(5, int), np.array([0, 1, 5]), capacity=4, overlap=1)
    assert list(zip(plan.sentence, plan.first, plan.last)) == [(0, 0, 1), (1, 1, 5)]


def test_a_sentence_of_one_piece_too_many_is_cut_wherever_it_stands():
    for before in (0, 1):
        plan = plan_windows(np.ones(before + 5, int), np.array([0, before, before + 5]), capacity=4, overlap=0)
        assert [(last - first) for first, last in zip(plan.first, plan.last)] == [*[1] * before, 4, 1]


def test_a_truncated_sentence_behind_others_keeps_its_place():
    plan = plan_windows(np.ones(9, int), np.array([0, 2, 9]), capacity=4, overlap=1, truncate=True)
    assert list(zip(plan.sentence, plan.first, plan.last)) == [(0, 0, 2), (1, 2, 6)]
    assert list(zip(plan.own_first, plan.own_last)) == [(0, 2), (2, 6)]


def test_neighbours_are_not_shown_unless_asked_for():
    plan = plan_windows(np.ones(4, int), np.array([0, 2, 4]), capacity=4, overlap=1)
    assert list(zip(plan.first, plan.last)) == [(0, 2), (2, 4)]


def test_plans_are_values():
    check_values(WindowPlan)


def test_room_for_one_piece_is_room():
    assert check_window(3, 0, n_special=2) == 1
    assert check_window(10, 7, n_special=2) == 8


def test_windows_that_cannot_be_say_what_to_change():
    with pytest.raises(UserError) as error:
        check_window(2, 0, n_special=2)
    assert str(error.value) == "alignment.max_length 2 leaves no room for words beside 2 special tokens. Increase it."
    with pytest.raises(UserError) as error:
        check_window(10, 8, n_special=2)
    assert str(error.value) == (
        "alignment.overlap 8 is too large for windows of 8 subword tokens (max_length 10 minus 2 special tokens)."
        " Give an overlap below 8, such as 2."
    )


@pytest.mark.parametrize(("max_length", "overlap"), [(2, 0), (10, 8), (10, 20)])
def test_windows_that_cannot_be_are_refused(max_length: int, overlap: int):
    with pytest.raises(UserError, match="alignment"):
        check_window(max_length, overlap, n_special=2)
