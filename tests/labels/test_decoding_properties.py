"""Decoding of arbitrary scores, compared with a search over all sequences: every scheme, ties and batches."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.decoding import decode, viterbi, viterbi_batch
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import RULES, Scheme, label_for
from tf_tokclf.labels.validation import violations

schemes = st.sampled_from(list(Scheme))
# Whole numbers, so that sums are exact and ties occur.
whole_scores = st.integers(-3, 0)


@st.composite
def label_names(draw: st.DrawFn, scheme: Scheme, n_types: int = 3) -> list[str]:
    """Some labels of a scheme in any order, as in data in which not all labels occur."""
    if scheme is Scheme.NONE:
        possible = ["NOUN", "VERB", "O", "ADJ"]
    else:
        possible = ["O", *(label_for(x, t) for x in RULES[scheme].letters.values() for t in "XYZ"[:n_types])]
    return draw(st.lists(st.sampled_from(possible), min_size=1, max_size=6, unique=True))


@st.composite
def masks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arbitrary rules, including rules of no scheme, for example labels that nothing may follow."""
    n = draw(st.integers(1, 4))
    flags = [draw(st.lists(st.booleans(), min_size=size, max_size=size)) for size in (n, n * n, n)]
    start, between, end = (np.array(one, bool) for one in flags)
    return start, between.reshape(n, n), end


def scores_of(draw: st.DrawFn, n_words: int, n_labels: int) -> np.ndarray:
    """Scores with many ties."""
    size = n_words * n_labels
    return np.array(draw(st.lists(whole_scores, min_size=size, max_size=size)), float).reshape(n_words, n_labels)


def forbidden_steps(ids: tuple[int, ...], mask: tuple[np.ndarray, np.ndarray, np.ndarray]) -> int:
    """The number of transitions in a sequence that the rules forbid."""
    start, between, end = mask
    return (not start[ids[0]]) + (not end[ids[-1]]) + sum(not between[a, b] for a, b in pairwise(ids))


@given(masks(), st.integers(1, 4), st.data())
def test_of_all_sequences_the_best_of_those_that_break_the_rules_least(
    mask: tuple[np.ndarray, np.ndarray, np.ndarray], n_words: int, data: st.DataObject
):
    """Of sequences with equal scores, the one with the smaller ids, compared from the last word backwards."""
    scores = scores_of(data.draw, n_words, len(mask[0]))

    def rank(ids: tuple[int, ...]) -> tuple[float, ...]:
        return forbidden_steps(ids, mask), -scores[range(n_words), list(ids)].sum(), *ids[::-1]

    best = min(product(range(len(mask[0])), repeat=n_words), key=rank)
    assert tuple(viterbi(scores, Chain(*(np.where(one, 0.0, -np.inf) for one in mask)))) == best


@given(schemes, st.data())
def test_what_is_decoded_is_valid_wherever_there_is_a_valid_sequence(scheme: Scheme, data: st.DataObject):
    labels = data.draw(label_names(scheme))
    n_words = data.draw(st.integers(1, 3))
    scores = scores_of(data.draw, n_words, len(labels))
    names = [labels[i] for i in viterbi(scores, Chain.of_rules(labels, scheme))]
    possible = [ids for ids in product(labels, repeat=n_words) if not violations(ids, scheme)]
    assert bool(violations(names, scheme)) == (not possible)


@given(schemes, st.data())
def test_sentences_together_give_what_each_gives_alone(scheme: Scheme, data: st.DataObject):
    labels = LabelSet(tuple(data.draw(label_names(scheme))), scheme)
    lengths = data.draw(st.lists(st.integers(0, 5), max_size=6))
    scores = scores_of(data.draw, sum(lengths), len(labels))
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=int)])
    rules = Chain.of_rules(labels.names, scheme)
    alone = [viterbi(scores[a:b], rules) for a, b in pairwise(starts.tolist())]
    together = viterbi_batch([scores[a:b] for a, b in pairwise(starts.tolist())], rules)
    assert [one.tolist() for one in together] == [one.tolist() for one in alone]
    decoded = decode(scores, starts, labels, decoding="viterbi")
    assert decoded.tolist() == [i for one in alone for i in one.tolist()]


@given(schemes, st.data())
def test_the_best_label_of_each_word_stays_where_the_scheme_allows_them_all(scheme: Scheme, data: st.DataObject):
    labels = LabelSet(tuple(data.draw(label_names(scheme))), scheme)
    n_words = data.draw(st.integers(1, 12))
    chosen = data.draw(st.lists(st.integers(0, len(labels) - 1), min_size=n_words, max_size=n_words))
    scores = np.full((n_words, len(labels)), -5.0)
    scores[range(n_words), chosen] = -0.5
    greedy = decode(scores, np.array([0, n_words]), labels, decoding="argmax")
    assert greedy.tolist() == chosen
    if not violations([labels.names[i] for i in chosen], scheme):
        assert decode(scores, np.array([0, n_words]), labels, decoding="viterbi").tolist() == chosen


@given(schemes, st.sampled_from(["argmax", "viterbi"]), st.data())
def test_words_that_no_model_saw_get_the_fallback_and_leave_the_others_valid(
    scheme: Scheme, decoding: str, data: st.DataObject
):
    names = data.draw(label_names(scheme))
    labels = LabelSet(tuple(dict.fromkeys([*names, "O"])), scheme)
    n_words = data.draw(st.integers(1, 6))
    scores = scores_of(data.draw, n_words, len(labels))
    unseen = data.draw(st.sets(st.integers(0, n_words - 1)))
    scores[list(unseen)] = np.nan
    ids = decode(scores, np.array([0, n_words]), labels, decoding=decoding)
    decoded = [labels.names[i] for i in ids]
    assert ids.dtype == np.int64
    assert all(decoded[word] == labels.fallback for word in unseen)
    if decoding == "viterbi":
        assert not violations(decoded, scheme)


@given(schemes, st.data())
def test_scores_without_bounds_and_of_either_precision_decode_alike(scheme: Scheme, data: st.DataObject):
    """Minus infinity and very large numbers are valid scores."""
    labels = data.draw(label_names(scheme))
    n_words = data.draw(st.integers(1, 3))
    size = n_words * len(labels)
    odd = st.sampled_from([-np.inf, -1e30, -2e3, -50.0, -1.0, 0.0])
    values = data.draw(st.lists(odd, min_size=size, max_size=size))
    scores = np.array(values).reshape(n_words, len(labels))
    rules = Chain.of_rules(labels, scheme)
    ids = viterbi(scores, rules)
    assert viterbi(scores.astype(np.float32), rules).tolist() == ids.tolist()
    if [x for x in product(labels, repeat=n_words) if not violations(x, scheme)]:
        assert not violations([labels[i] for i in ids], scheme)
