"""Uncertainty of words and sentences, compared with lists of all label sequences and with plain formulas."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest

from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Span
from tf_tokclf.scoring.uncertainty import MEASURES, Questions, uncertainty, vote_entropy

LABELS = LabelSet(("O", "B-LOC", "I-LOC", "B-PER", "I-PER"), Scheme.IOB2)
ROWS = np.random.default_rng(7).dirichlet(np.ones(5), 40)


def in_words(row: list[float], measure: str) -> float:
    """The measure of one word, by its formula."""
    first, second, *_ = sorted(row, reverse=True)
    if measure == "margin":
        return 1 - (first - second)
    if measure == "least-confidence":
        return 1 - first
    return -sum(p * math.log(p) for p in row if p) / math.log(len(row))


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_follow_their_formulas(measure: str):
    expected = [in_words(row, measure) for row in ROWS.tolist()]
    assert uncertainty(ROWS, measure) == pytest.approx(expected)
    certain, even = np.eye(5)[:1], np.full((1, 5), 0.2)
    assert uncertainty(certain, measure).tolist() == [0]
    assert uncertainty(even, measure)[0] == pytest.approx(0.8 if measure == "least-confidence" else 1)
    assert uncertainty(np.ones((2, 1)), measure).tolist() == [0, 0]


def test_votes_have_the_entropy_of_their_shares():
    votes = np.random.default_rng(1).integers(0, 3, (4, 60))
    for column, found in zip(votes.T.tolist(), vote_entropy(votes)):
        shares = [n / 4 for n in Counter(column).values()]
        assert found == pytest.approx(-sum(share * math.log(share) for share in shares) / math.log(4))


def listed(logs: np.ndarray, names: tuple[str, ...], common: dict[str, str]) -> np.ndarray:
    """(words, names) the share of the legal label sequences with each label of a word, weighted by probability."""
    weights = np.exp(logs.astype(float))
    found = np.zeros((len(logs), len(names)))
    for sequence in product(range(len(LABELS)), repeat=len(logs)):
        chosen = [LABELS.names[i] for i in sequence]
        before = ["O", *chosen]
        if any(b[0] == "I" and a[2:] != b[2:] for a, b in zip(before, chosen)):
            continue
        weight = math.prod(weights[word, i] for word, i in enumerate(sequence))
        for word, label in enumerate(chosen):
            found[word, names.index(common.get(label, label))] += weight
    return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("types", [None, ["PER"], ["LOC", "PER"]])
def test_only_sequences_that_the_scheme_allows_count_and_only_wanted_types(types: list[str] | None):
    logs = [np.log(ROWS[:4]).astype(np.float32), np.log(ROWS[4:5]).astype(np.float32)]
    questions = Questions.about(LABELS, types, crf=False)
    left_out = [name for name in LABELS.names if types is not None and name[2:] not in types]
    common = dict.fromkeys(left_out, "other")
    assert set(questions.names) == {common.get(name, name) for name in LABELS.names}
    for found, given in zip(questions.probabilities(logs), logs):
        assert found == pytest.approx(listed(given, questions.names, common), abs=1e-5)


def test_the_marginals_of_a_crf_are_kept():
    (found,) = Questions.about(LABELS, None, crf=True).probabilities([np.log(ROWS[:3])])
    assert found == pytest.approx(ROWS[:3])


def test_words_that_the_model_does_not_see_are_certain():
    logs = np.log(ROWS[:2]).astype(np.float32)
    logs[1] = np.nan
    (found,) = Questions.about(LABELS, None, crf=False).probabilities([logs])
    assert uncertainty(found, "margin")[1] == pytest.approx(0)


def test_the_least_certain_word_is_the_score_of_a_sentence_of_any_length():
    questions = Questions.about(LABELS, None, crf=False)
    certain = np.eye(5)[[0]].repeat(50, axis=0)
    short = np.array([[0.5, 0.4, 0.0, 0.1, 0.0]])
    alone = questions.doubt(short, ["oslo"], [], "margin")
    assert alone.score == pytest.approx(0.9)
    assert alone.reason == "'oslo', in no span: O (0.50) or B-LOC (0.40)"
    words = [*("x" for _ in range(50)), "oslo"]
    assert questions.doubt(np.concatenate([certain, short]), words, [], "margin") == alone


def test_the_reason_names_the_span():
    rows = np.array([[0.0, 1.0, 0.0, 0.0, 0.0], [0.4, 0.0, 0.6, 0.0, 0.0]])
    questions = Questions.about(LABELS, None, crf=False)
    doubt = questions.doubt(rows, ["new", "york"], [Span(0, 2, "LOC")], "least-confidence")
    assert doubt.reason == "LOC 'new york', word 'york': I-LOC (0.60) or O (0.40)"
    only = Questions.about(LABELS, ["PER"], crf=False)
    (shares,) = only.probabilities([np.log(np.array([[0.0001, 0.0999, 0.0, 0.9, 0.0]]) + 1e-12)])
    assert "in no span" in only.doubt(shares, ["new"], [Span(0, 1, "LOC")], "margin").reason


def test_the_word_with_the_most_different_votes_is_the_score_of_a_sentence():
    names = np.eye(5)
    members = [names[[0, 1, 0]], names[[0, 1, 1]], names[[0, 3, 3]]]
    own = np.array([[1.0, 0, 0, 0, 0], [0.0, 1.0, 0, 0, 0], [0.6, 0.4, 0, 0, 0]])
    doubt = Questions.about(LABELS, None, crf=False).dissent(members, ["a", "b", "c"], [], own=own)
    assert (doubt.score, doubt.second) == (pytest.approx(1), pytest.approx(0.8))
    assert doubt.reason == "'c', in no span: O by 1 run, B-LOC by 1 run, B-PER by 1 run"


def test_labels_without_spans_are_types_themselves():
    labels = LabelSet(("NOUN", "VERB", "X"), Scheme.NONE)
    questions = Questions.about(labels, ["VERB"], crf=False)
    (found,) = questions.probabilities([np.log(np.array([[0.2, 0.5, 0.3]]))])
    assert questions.names == ("VERB", "other")
    assert found.tolist() == [pytest.approx([0.5, 0.5])]
    assert questions.doubt(found, ["run"], [], "margin").reason == "word 'run': VERB (0.50) or other (0.50)"


def test_an_unknown_type_is_named():
    with pytest.raises(ValueError, match=r"^ORG$"):
        Questions.about(LABELS, ["LOC", "ORG"], crf=False)
