"""How often a 95 % interval contains the true F1, which is known here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tf_tokclf.scoring.bootstrap import f1_intervals
from tf_tokclf.scoring.counts import CountTable
from tf_tokclf.scoring.evaluation import evaluate_file

SAMPLE = Path(__file__).parent.parent / "data" / "scoring" / "wnut17_arcada.tsv"


def coverage(types: Sequence[str], n_sentences: int, *, n_sets: int, n_samples: int = 1000) -> dict[str, float]:
    """Draw test sets from a population of sentences, and return how often the interval contains the population's F1.

    The result is a share for each of the `types` ("" for all together), over the sets in which the type occurs. The
    population is the output of a real system, so its errors have realistic clusters.
    """
    table = evaluate_file(SAMPLE).scores.table
    population = table.per_sentence()
    truth = {name: table.by_type[name].f1 if name else table.overall.f1 for name in types}
    rng = np.random.default_rng(2017)
    held: dict[str, list[bool]] = {name: [] for name in types}
    for number in range(n_sets):
        drawn = population[rng.integers(0, len(population), n_sentences)]
        sentence, type_ = np.nonzero(drawn.any(axis=2))
        one = CountTable(table.types, n_sentences, sentence, type_, drawn[sentence, type_])
        intervals = f1_intervals(one, n_samples=n_samples, seed=number)
        for name in intervals.keys() & truth.keys():
            low, high = intervals[name]
            held[name].append(low <= truth[name] <= high)
    return {name: sum(hits) / len(hits) for name, hits in held.items()}


@pytest.mark.parametrize("n_sentences", [100, 400])
def test_a_95_percent_interval_holds_the_truth_about_95_times_in_100(n_sentences):
    for share in coverage(["", "person"], n_sentences, n_sets=300).values():
        assert 0.91 <= share <= 0.98


@pytest.mark.parametrize("n_sentences", [10, 30, 100])
def test_so_it_does_for_rare_types(n_sentences):
    """With resampling alone it is 25 to 70 times: F1 is 0 in each sample if all entities of a type are missed."""
    rare = ["corporation", "creative-work", "group", "location"]
    for share in coverage(rare, n_sentences, n_sets=300).values():
        assert 0.9 <= share <= 0.99
