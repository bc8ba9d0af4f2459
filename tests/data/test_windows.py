"""Properties of windows: every word owned once, nothing wider than the model, overlap as asked."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokclf.data.windows import check_window, plan_windows, split_long
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
        # A word of more pieces than fit counts as those that do.
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


@pytest.mark.parametrize(("max_length", "overlap"), [(2, 0), (10, 8), (10, 20)])
def test_windows_that_cannot_be_are_refused(max_length: int, overlap: int):
    with pytest.raises(UserError, match="alignment"):
        check_window(max_length, overlap, n_special=2)
