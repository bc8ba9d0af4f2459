"""How often a 95 % interval holds the truth, where the truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tf_tokclf.scoring.bootstrap import f1_intervals
from tf_tokclf.scoring.counts import CountTable
from tf_tokclf.scoring.evaluation import evaluate_file

SAMPLE = Path(__file__).parent.parent / "data" / "scoring" / "wnut17_arcada.tsv"


def coverage(n_sentences: int, *, n_sets: int, n_samples: int = 1000) -> dict[str, float]:
    """Draw test sets from a population of sentences and count the intervals that hold the population's F1.

    The population is a real system's output, so errors come in the clusters in which they really come.
    """
    table = evaluate_file(SAMPLE).scores.table
    population = table.per_sentence()
    truth = {"": table.overall.f1, "person": table.by_type["person"].f1}
    rng = np.random.default_rng(2017)
    held = dict.fromkeys(truth, 0)
    for number in range(n_sets):
        drawn = population[rng.integers(0, len(population), n_sentences)]
        sentence, type_ = np.nonzero(drawn.any(axis=2))
        one = CountTable(table.types, n_sentences, sentence, type_, drawn[sentence, type_])
        intervals = f1_intervals(one, n_samples=n_samples, seed=number)
        for name, f1 in truth.items():
            low, high = intervals[name]
            held[name] += low <= f1 <= high
    return {name: n / n_sets for name, n in held.items()}


@pytest.mark.parametrize("n_sentences", [100, 400])
def test_a_95_percent_interval_holds_the_truth_about_95_times_in_100(n_sentences):
    for share in coverage(n_sentences, n_sets=300).values():
        assert 0.91 <= share <= 0.98
