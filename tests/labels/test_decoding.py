"""Viterbi decoding, compared with a search over all sequences."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.decoding import DECODINGS, decode, log_marginals, marginals_batch, viterbi, viterbi_batch
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import RULES, Scheme, label_for
from tf_tokclf.labels.validation import violations

SPAN_SCHEMES = list(RULES)


def labels_in(scheme: Scheme) -> list[str]:
    return ["O", *(label_for(letter, t) for letter in RULES[scheme].letters.values() for t in ("X", "Y"))]


def best_by_trying_all(log_probabilities: np.ndarray, labels: list[str], scheme: Scheme) -> float:
    n_words = len(log_probabilities)
    return max(
        sum(log_probabilities[range(n_words), list(ids)])
        for ids in product(range(len(labels)), repeat=n_words)
        if not violations([labels[i] for i in ids], scheme)
    )


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
def test_finds_the_best_sequence_that_the_scheme_allows(scheme):
    labels = labels_in(scheme)
    mask = Chain.of_rules(labels, scheme)
    rng = np.random.default_rng(7)
    for n_words in (1, 2, 3):
        for _ in range(5):
            scores = np.log(rng.dirichlet(np.full(len(labels), 0.5), size=n_words))
            ids = viterbi(scores, mask)
            assert not violations([labels[i] for i in ids], scheme)
            assert scores[range(n_words), ids].sum() == pytest.approx(best_by_trying_all(scores, labels, scheme))


def test_a_batch_gives_what_each_sentence_gives_alone():
    labels = labels_in(Scheme.BIOES)
    mask = Chain.of_rules(labels, Scheme.BIOES)
    rng = np.random.default_rng(3)
    sentences = [np.log(rng.dirichlet(np.ones(len(labels)), size=n)) for n in (4, 1, 0, 7, 2)]
    batch = viterbi_batch(sentences, mask)
    assert [len(ids) for ids in batch] == [4, 1, 0, 7, 2]
    for ids, alone in zip(batch, sentences):
        assert (ids == viterbi(alone, mask)).all()


def test_a_batch_may_be_of_any_size():
    rng = np.random.default_rng(4)
    mask = Chain.of_rules(["O", "B-X", "I-X"], Scheme.IOB2)
    sentences = [np.log(rng.dirichlet(np.ones(3), size=n)) for n in rng.integers(0, 4, 600)]
    batch = viterbi_batch(sentences, mask)
    assert [ids.tolist() for ids in batch] == [viterbi(alone, mask).tolist() for alone in sentences]


def finite(chain: Chain) -> Chain:
    """The same rules as learned transitions, for which all pairs of labels are compared."""
    return Chain(*(np.maximum(part, -1e9) for part in chain.parts))


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
def test_rules_are_searched_faster_with_the_result_of_comparing_all_pairs(scheme):
    labels = ["O", *(label_for(letter, f"T{t}") for t in range(9) for letter in RULES[scheme].letters.values())]
    rules = Chain.of_rules(labels, scheme)
    rng = np.random.default_rng(12)
    # Rounded scores are often equal, and the smaller id must win.
    sentences = [np.round(np.log(rng.dirichlet(np.ones(len(labels)), size=n))) for n in rng.integers(0, 12, 80)]
    fast, slow = (viterbi_batch(sentences, chain) for chain in (rules, finite(rules)))
    assert [ids.tolist() for ids in fast] == [ids.tolist() for ids in slow]


def test_any_rules_are_searched_with_the_result_of_comparing_all_pairs():
    rng = np.random.default_rng(13)
    for n_labels in (1, 2, 5, 12):
        for share in (0.1, 0.4, 0.8):
            parts = [rng.random(shape) < share for shape in ((n_labels,), (n_labels, n_labels), (n_labels,))]
            rules = Chain(*(np.where(part, 0.0, -np.inf) for part in parts))
            sentences = [np.log(rng.dirichlet(np.ones(n_labels), size=n)) for n in rng.integers(1, 9, 20)]
            fast, slow = (viterbi_batch(sentences, chain) for chain in (rules, finite(rules)))
            assert [ids.tolist() for ids in fast] == [ids.tolist() for ids in slow]


def test_keeps_an_argmax_that_is_allowed():
    labels = labels_in(Scheme.IOB2)
    scores = np.log(np.full((3, len(labels)), 0.02))
    best = [labels.index(x) for x in ("B-X", "I-X", "B-Y")]
    scores[range(3), best] = np.log(0.9)
    assert viterbi(scores, Chain.of_rules(labels, Scheme.IOB2)).tolist() == best


def test_without_a_scheme_it_is_argmax():
    scores = np.log(np.random.default_rng(0).dirichlet(np.ones(4), size=9))
    assert (viterbi(scores, Chain.of_rules(list("abcd"), Scheme.NONE)) == scores.argmax(axis=1)).all()


def test_probabilities_of_zero_and_labels_that_leave_no_way_still_give_a_label_each():
    with np.errstate(divide="ignore"):
        scores = np.log(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert len(viterbi(scores, Chain.of_rules(["I-X", "I-Y"], Scheme.IOB2))) == 2


def test_no_sentences():
    assert viterbi_batch([], Chain.of_rules(["O"], Scheme.IO)) == []


@pytest.mark.parametrize("decoding", ["argmax", "viterbi"])
def test_words_that_no_model_saw_are_outside(decoding):
    labels = LabelSet(("O", "B-X", "I-X"), Scheme.IOB2)
    scores = np.log(np.array([[0.1, 0.8, 0.1], [np.nan] * 3, [0.2, 0.2, 0.6], [0.2, 0.1, 0.7]]))
    ids = decode(scores, np.array([0, 3, 4]), labels, decoding=decoding)
    assert ids.tolist() == {"argmax": [1, 0, 2, 2], "viterbi": [1, 0, 0, 0]}[decoding]


@pytest.mark.parametrize("decoding", DECODINGS)
def test_words_that_no_model_saw_get_the_fallback_wherever_it_stands(decoding):
    labels = LabelSet(("B-X", "I-X", "O"), Scheme.IOB2)
    scores = np.log(np.array([[0.8, 0.1, 0.1], [np.nan] * 3, [0.1, 0.2, 0.7]], np.float32))
    assert decode(scores, np.array([0, 3]), labels, decoding=decoding).tolist() == [0, 2, 2]
    tags = LabelSet(("NOUN", "VERB"), Scheme.NONE, fallback="VERB")
    assert decode(np.full((1, 2), np.nan), np.array([0, 1]), tags, decoding=decoding).tolist() == [1]


def test_a_word_that_no_model_saw_gives_way_to_a_neighbour_that_can_be_but_one_label():
    labels = LabelSet(("B-X", "E-X", "O"), Scheme.BIOES)
    scores = np.array([[0.0, -np.inf, -np.inf], [np.nan] * 3])
    assert decode(scores, np.array([0, 2]), labels, decoding="viterbi").tolist() == [0, 1]


@pytest.mark.parametrize("decoding", DECODINGS)
def test_one_label_is_every_words(decoding):
    scores = np.array([[0.0], [np.nan]])
    assert decode(scores, np.array([0, 2]), LabelSet(("O",), Scheme.IOB2), decoding=decoding).tolist() == [0, 0]


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("n_words", [0, 3])
def test_ids_can_index_the_names(decoding, n_words):
    labels = LabelSet(("O", "B-X", "I-X"), Scheme.IOB2)
    ids = decode(np.zeros((n_words, 3)), np.array([0, n_words]), labels, decoding=decoding)
    assert ids.dtype == np.int64
    assert viterbi(np.zeros((n_words, 3)), Chain.of_rules(labels.names, labels.scheme)).dtype == np.int64


def test_decoding_is_by_argmax_unless_another_is_named():
    labels = LabelSet(("O", "B-X", "I-X"), Scheme.IOB2)
    scores = np.log(np.array([[0.5, 0.2, 0.3], [0.1, 0.2, 0.7]]))
    assert decode(scores, np.array([0, 2]), labels).tolist() == [0, 2]
    assert set(DECODINGS) == {"argmax", "viterbi"}
    with pytest.raises(ValueError, match="decoding is argmax or viterbi, not 'beam'"):
        decode(scores, np.array([0, 2]), labels, decoding="beam")


def test_among_equals_the_smaller_ids_are_taken_and_what_hardly_can_be_counts_alike():
    free = Chain.of_rules(["a", "b"], Scheme.NONE)
    assert viterbi(np.log(np.full((3, 2), 0.5)), free).tolist() == [0, 0, 0]
    # Probabilities below e^-1000 are treated as equal.
    assert viterbi(np.array([[-np.inf, -1000.5], [-1000.5, -999.5]]), free).tolist() == [0, 1]


def test_where_no_way_is_allowed_the_one_with_the_fewest_forbidden_steps_is_taken():
    mask = Chain.of_rules(["B-X", "I-X", "I-Y"], Scheme.IOB2)
    scores = np.log(np.array([[0.02, 0.49, 0.49], [0.01, 0.01, 0.98], [0.01, 0.01, 0.98]]))
    scores[:, 0] = -800
    forced = viterbi(scores, Chain(np.full(3, -np.inf), mask.transitions, mask.end))
    assert forced.tolist() == [2, 2, 2]
    assert viterbi(scores, mask).tolist() == [0, 1, 1]


@pytest.mark.parametrize("decoding", ["argmax", "viterbi"])
def test_empty_sentences_and_no_words_decode_to_nothing(decoding):
    labels = LabelSet(("O", "B-X", "I-X"), Scheme.IOB2)
    assert decode(np.zeros((0, 3)), np.array([0]), labels, decoding=decoding).tolist() == []
    assert decode(np.zeros((0, 3)), np.array([0, 0, 0]), labels, decoding=decoding).tolist() == []
    scores = np.log(np.array([[0.1, 0.8, 0.1]]))
    assert decode(scores, np.array([0, 0, 1, 1]), labels, decoding=decoding).tolist() == [1]


def test_marginals_and_best_paths_of_a_crf_are_those_of_all_sequences():
    rng = np.random.default_rng(8)
    rules = Chain.of_rules(["O", "B-X", "I-X"], Scheme.IOB2)
    crf = Chain(*(part + rng.normal(size=part.shape) for part in rules.parts))
    sentences = [rng.normal(size=(n_words, 3)) for n_words in (3, 1, 0, 5, 2)]
    paths, marginals = viterbi_batch(sentences, crf), marginals_batch(sentences, crf)
    for scores, path, found in zip(sentences, paths, marginals):
        if not len(scores):
            assert (path.shape, found.shape) == ((0,), (0, 3))
            continue
        every = np.array(list(product(range(3), repeat=len(scores))))
        totals = scores[range(len(scores)), every].sum(axis=1) + crf.start[every[:, 0]] + crf.end[every[:, -1]]
        totals += crf.transitions[every[:, :-1], every[:, 1:]].sum(axis=1)
        assert path.tolist() == every[totals.argmax()].tolist()
        probabilities = np.exp(totals - np.logaddexp.reduce(totals))
        expected = [[probabilities[every[:, word] == label].sum() for label in range(3)] for word in range(len(scores))]
        np.testing.assert_allclose(np.exp(found), expected, atol=1e-12)


def test_marginals_of_words_that_no_model_saw_are_unknown_and_count_as_the_fallback():
    labels = LabelSet(("O", "B-X", "I-X"), Scheme.IOB2)
    rules = Chain.of_rules(labels.names, labels.scheme)
    scores = np.log(np.array([[0.1, 0.8, 0.1], [np.nan] * 3, [0.2, 0.2, 0.6], [0.2, 0.1, 0.7]], np.float32))
    found = log_marginals(scores, np.array([0, 3, 4]), labels, rules)
    assert found.dtype == np.float32
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False, False]
    # Neither the word after O nor the first of a sentence can be I-X.
    np.testing.assert_allclose(np.exp(found[[2, 3]]), [[0.5, 0.5, 0], [2 / 3, 1 / 3, 0]], atol=1e-6)
    assert log_marginals(np.zeros((0, 3)), np.array([0]), labels, rules).shape == (0, 3)
