"""The best of a stream: the same as sorting the whole stream."""

from __future__ import annotations

import numpy as np
import pytest

from tf_tokclf.inference.candidates import BestCandidates, Candidate, within_budget
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.records.base import Record
from tf_tokclf.scoring.uncertainty import Doubt


def candidate(key: int, score: float, n_words: int, *, order: int = 0, second: float = 0.0) -> Candidate:
    sentence = Sentence(("x",) * n_words)
    return Candidate(key, order, Record(Origin("a", 1), None, sentence), doubt=Doubt(score, second, ""))


def stream(n: int = 300) -> list[Candidate]:
    rng = np.random.default_rng(5)
    return [
        candidate(i, float(rng.integers(0, 9)), int(rng.integers(1, 20)), order=int(rng.integers(1 << 60)))
        for i in range(n)
    ]


def kept(best: BestCandidates, candidates: list[Candidate]) -> list[int]:
    for one in candidates:
        if best.accepts(one):
            best.add(one)
    return [one.key for one in best.ranked()]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_best_of_all_are_kept(reverse: bool):
    candidates = stream()
    ranked = sorted(candidates, key=lambda one: one.rank, reverse=True)
    given = candidates[::-1] if reverse else candidates
    assert kept(BestCandidates(most=25), given) == [one.key for one in ranked[:25]]
    best = BestCandidates(most_words=100)
    keys = kept(best, given)
    n_needed = int(np.searchsorted(np.cumsum([one.n_words for one in ranked]), 100)) + 1
    assert keys == [one.key for one in ranked[:n_needed]]


def test_equal_sentences_are_kept_once():
    best = BestCandidates(most=2)
    assert kept(best, [candidate(1, 0.1, 1), candidate(1, 0.2, 1), candidate(2, 0.3, 1)]) == [2, 1]
    # A sentence that had to go may come back with a higher score.
    assert kept(best, [candidate(3, 0.4, 1), candidate(1, 0.5, 1)]) == [1, 3]


def test_ties_are_broken_by_the_second_measure_and_then_at_random():
    given = [candidate(1, 0.5, 1, order=9), candidate(2, 0.5, 1, second=0.1), candidate(3, 0.5, 1, order=10)]
    assert kept(BestCandidates(most=3), given) == [2, 3, 1]


def test_sentences_that_exceed_the_budget_are_passed_over():
    given = [candidate(i, 0.0, n) for i, n in enumerate((5, 7, 4, 2, 1))]
    assert [one.key for one in within_budget(given, 10)] == [0, 2, 4]
