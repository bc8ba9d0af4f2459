"""Probabilities of spans, compared with a list of all label sequences that the scheme allows."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest

from tests.values import check_values
from tf_tokclf.encoding.crf_file import LARGEST
from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.lattice import Lattice, ScoredSpan
from tf_tokclf.labels.schemes import RULES, Scheme, label_for
from tf_tokclf.labels.sentence import Span
from tf_tokclf.labels.spans import spans_of
from tf_tokclf.labels.validation import violations

ALL = tuple((scheme, left_out) for scheme in RULES for left_out in ("", "last"))


def label_set(scheme: Scheme, left_out: str = "") -> LabelSet:
    names = ("O", *(label_for(letter, type_) for letter in RULES[scheme].letters.values() for type_ in ("X", "Y")))
    return LabelSet(names[:-1] if left_out else names, scheme)


def by_listing_all(probabilities: np.ndarray, labels: LabelSet) -> dict[Span, float]:
    weights: Counter[Span] = Counter()
    total = 0.0
    for ids in product(range(len(labels)), repeat=len(probabilities)):
        names = [labels.names[i] for i in ids]
        if not violations(names, labels.scheme):
            weight = probabilities[range(len(ids)), list(ids)].prod()
            total += weight
            weights.update(dict.fromkeys(spans_of(names, labels.scheme), weight))
    return {span: weight / total for span, weight in weights.items()}


def found(lattice: Lattice, sentences: list[np.ndarray], least: float = 0.0) -> list[dict[Span, float]]:
    return [{one.span: one.probability for one in each} for each in lattice.candidates(sentences, least=least)]


def test_spans_are_values():
    check_values(ScoredSpan)


@pytest.mark.parametrize(("scheme", "left_out"), ALL)
def test_probabilities_are_those_of_all_allowed_sequences(scheme: Scheme, left_out: str):
    labels = label_set(scheme, left_out)
    rng = np.random.default_rng(3)
    sentences = [rng.dirichlet(np.full(len(labels), 0.4), size=n) for n in (1, 2, 4, 3)]
    got = found(Lattice.of(labels), [np.log(one) for one in sentences])
    for spans, probabilities in zip(got, sentences, strict=True):
        assert spans == pytest.approx(by_listing_all(probabilities, labels), rel=1e-9)


def marginals_by_listing_all(probabilities: np.ndarray, labels: LabelSet) -> np.ndarray:
    weights = np.zeros(probabilities.shape)
    for ids in product(range(len(labels)), repeat=len(probabilities)):
        if not violations([labels.names[i] for i in ids], labels.scheme):
            weights[range(len(ids)), list(ids)] += probabilities[range(len(ids)), list(ids)].prod()
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("scheme", "left_out"), ALL)
def test_probabilities_of_labels_are_those_of_all_allowed_sequences(scheme: Scheme, left_out: str):
    labels = label_set(scheme, left_out)
    rng = np.random.default_rng(6)
    sentences = [rng.dirichlet(np.full(len(labels), 0.4), size=n) for n in (3, 1, 0, 4, 2)]
    got = Lattice.of(labels).marginals([np.log(one) for one in sentences])
    for marginals, probabilities in zip(got, sentences, strict=True):
        assert marginals.shape == probabilities.shape
        if len(probabilities):
            np.testing.assert_allclose(marginals, marginals_by_listing_all(probabilities, labels), rtol=1e-9)


def test_a_sentence_without_an_allowed_sequence_keeps_its_probabilities():
    labels = LabelSet(("B-X",), Scheme.BIOES)
    (marginals,) = Lattice.of(labels).marginals([np.zeros((2, 1))])
    assert marginals.tolist() == [[1.0], [1.0]]


def test_transitions_of_a_crf_weigh_the_sequences():
    labels = label_set(Scheme.IOB2)
    rng = np.random.default_rng(8)
    rules = Chain.of_rules(labels.names, labels.scheme)
    # Large scores must not overflow.
    crf = Chain(*(part + 800 + rng.normal(size=part.shape) for part in rules.parts))
    probabilities = rng.dirichlet(np.full(len(labels), 0.4), size=4)
    weights: Counter[Span] = Counter()
    total = 0.0
    for ids in product(range(len(labels)), repeat=4):
        names = [labels.names[i] for i in ids]
        if not violations(names, labels.scheme):
            steps = sum(crf.transitions[a, b] - 800 for a, b in pairwise(ids))
            score = crf.start[ids[0]] - 800 + steps + crf.end[ids[-1]] - 800
            weight = probabilities[range(4), list(ids)].prod() * np.exp(score)
            total += weight
            weights.update(dict.fromkeys(spans_of(names, labels.scheme), weight))
    (spans,) = found(Lattice.of(labels, crf), [np.log(probabilities)])
    assert spans == pytest.approx({span: weight / total for span, weight in weights.items()}, rel=1e-9)


@pytest.mark.parametrize("scheme", [Scheme.IOB2, Scheme.BIOES])
def test_the_largest_transitions_and_sure_labels_lose_no_span(scheme: Scheme):
    """Each transition is as large or as small as `crf.json` may have it, and each word is sure of one label."""
    labels = label_set(scheme)
    rng = np.random.default_rng(11)
    rules = Chain.of_rules(labels.names, labels.scheme)
    n_spans = 0
    for _ in range(20):
        crf = Chain(*(part + rng.choice([-LARGEST, LARGEST], size=part.shape) for part in rules.parts))
        scores = np.full((4, len(labels)), -80.0)
        scores[range(4), rng.integers(0, len(labels), 4)] = 0.0
        weights: dict[tuple[int, ...], float] = {}
        for ids in product(range(len(labels)), repeat=4):
            steps = sum(crf.transitions[a, b] for a, b in pairwise(ids))
            weights[ids] = crf.start[ids[0]] + steps + crf.end[ids[-1]] + scores[range(4), list(ids)].sum()
        total = np.logaddexp.reduce(list(weights.values()))
        expected: Counter[Span] = Counter()
        for ids, weight in weights.items():
            if np.exp(weight - total):
                names = [labels.names[i] for i in ids]
                expected.update(dict.fromkeys(spans_of(names, labels.scheme), np.exp(weight - total)))
        (spans,) = found(Lattice.of(labels, crf), [scores], 1e-3)
        assert spans == pytest.approx({span: p for span, p in expected.items() if p >= 1e-3}, rel=1e-9)
        n_spans += len(spans)
    assert n_spans > 20


@pytest.mark.parametrize("least", [0.01, 0.2, 0.6])
def test_a_limit_leaves_out_exactly_the_spans_below_it(least: float):
    labels = label_set(Scheme.BIOES)
    rng = np.random.default_rng(5)
    sentences = [np.log(rng.dirichlet(np.full(len(labels), 0.2), size=n)) for n in (9, 1, 30, 12)]
    everything = found(Lattice.of(labels), sentences)
    assert found(Lattice.of(labels), sentences, least) == [
        {span: pytest.approx(p) for span, p in one.items() if p >= least} for one in everything
    ]


def test_candidates_come_most_probable_first():
    labels = label_set(Scheme.IOB2)
    rng = np.random.default_rng(6)
    (spans,) = Lattice.of(labels).candidates([np.log(rng.dirichlet(np.ones(len(labels)), size=6))])
    assert len(spans) > 10
    assert [one.probability for one in spans] == sorted((one.probability for one in spans), reverse=True)


def test_sure_but_forbidden_labels_lose_no_precision():
    """I- at each of a hundred words is almost sure, and products of the other labels are below the smallest float."""
    labels = LabelSet(("O", "B-X", "I-X", "B-Y", "I-Y"), Scheme.IOB2)
    row = np.log([1e-30, 2e-30, 1e-40, 1e-35, 1.0 - 4e-30])
    (spans,) = found(Lattice.of(labels), [np.tile(row, (100, 1))], 0.001)
    # I-Y is only possible after B-Y, which costs 1e-35 once.
    assert spans == {Span(0, 100, "Y"): pytest.approx(1.0)}


def test_words_that_the_model_did_not_see_are_in_no_span():
    labels = label_set(Scheme.IOB2)
    scores = np.log(np.random.default_rng(1).dirichlet(np.ones(len(labels)), size=5))
    scores[2] = np.nan
    (spans,) = found(Lattice.of(labels), [scores], 1e-6)
    left, right = found(Lattice.of(labels), [scores[:2], scores[3:]], 1e-6)
    moved = {Span(span.start + 3, span.end + 3, span.type): p for span, p in right.items()}
    assert spans == pytest.approx({**left, **moved}, rel=1e-6)


def test_a_sentence_without_an_allowed_sequence_has_no_spans():
    labels = LabelSet(("B-X", "I-X"), Scheme.BIOES)
    assert Lattice.of(labels).candidates([np.log(np.full((2, 2), 0.5)), np.zeros((0, 2))]) == [[], []]


def test_of_overlapping_spans_the_most_probable_stays():
    lattice = Lattice.of(label_set(Scheme.IOB2))
    spans = [(Span(1, 3, "X"), 0.6), (Span(0, 2, "Y"), 0.3), (Span(0, 1, "X"), 0.2), (Span(3, 4, "X"), 0.1)]
    kept = lattice.resolved([ScoredSpan(*one) for one in spans])
    assert [one.span for one in kept] == [Span(0, 1, "X"), Span(1, 3, "X"), Span(3, 4, "X")]


def test_io_keeps_one_of_two_adjacent_spans_of_a_type():
    lattice = Lattice.of(label_set(Scheme.IO))
    spans = [(Span(1, 3, "X"), 0.6), (Span(3, 4, "X"), 0.3), (Span(0, 1, "Y"), 0.2)]
    assert [one.span for one in lattice.resolved([ScoredSpan(*one) for one in spans])] == [
        Span(0, 1, "Y"),
        Span(1, 3, "X"),
    ]


def test_labels_without_a_scheme_have_no_lattice():
    with pytest.raises(ValueError, match="no spans"):
        Lattice.of(LabelSet(("NOUN", "VERB"), Scheme.NONE))
