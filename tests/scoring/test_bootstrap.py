"""Intervals and comparisons."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tf_tokclf.data.schemes import Scheme
from tf_tokclf.scoring.bootstrap import compare, f1_intervals
from tf_tokclf.scoring.counts import CountTable
from tf_tokclf.scoring.scores import score_sentences


def random_table(seed: int, n_sentences: int = 300, right: float = 0.6) -> CountTable:
    """Some sentences have a span of X or Y, found with probability `right`; some have a spurious one."""
    rng = np.random.default_rng(seed)
    gold = np.random.default_rng(99).integers(0, 3, n_sentences)  # the same for every seed
    pairs = []
    for kind, found, spurious in zip(gold, rng.random(n_sentences) < right, rng.random(n_sentences) < 0.1):
        label = ("O", "B-X", "B-Y")[kind]
        pairs.append(([label, "O"], [label if found else "O", "B-X" if spurious else "O"]))
    return score_sentences(pairs, Scheme.IOB2).table


def slow_interval(table: CountTable, n_samples: int, seed: int) -> tuple[float, float]:
    counts = table.per_sentence().sum(axis=1)
    rng = np.random.default_rng(seed)
    f1 = []
    for _ in range(n_samples):
        correct, predicted, gold = counts[rng.integers(0, len(counts), len(counts))].sum(axis=0)
        f1.append(2 * correct / (predicted + gold))
    return tuple(np.quantile(f1, [0.025, 0.975]))


def test_interval_is_that_of_resampling_sentence_by_sentence():
    table = random_table(1)
    assert f1_intervals(table, n_samples=4000)[""] == pytest.approx(slow_interval(table, 4000, 5), abs=0.008)


def test_interval_holds_the_score_for_each_type_and_all():
    table = random_table(2)
    intervals = f1_intervals(table, n_samples=500)
    assert set(intervals) == {"X", "Y", ""}
    for type_, counts in {**table.by_type, "": table.overall}.items():
        low, high = intervals[type_]
        assert low < counts.f1 < high


def test_same_seed_same_interval():
    table = random_table(3)
    assert f1_intervals(table, n_samples=200, seed=4) == f1_intervals(table, n_samples=200, seed=4)
    assert f1_intervals(table, n_samples=200, seed=4) != f1_intervals(table, n_samples=200, seed=5)


def test_a_system_and_itself_differ_by_nothing():
    table = random_table(4)
    for difference in compare([table], [table], n_samples=500).values():
        assert (difference.difference, difference.interval, difference.p_value) == (0, (0, 0), 1)


def test_clearly_different_systems_are_told_apart():
    result = compare([random_table(5, right=0.4)], [random_table(6, right=0.8)])[""]
    assert result.p_value < 0.01
    assert 0 < result.interval[0] < result.difference < result.interval[1]


def test_p_values_of_equally_good_systems_are_spread_evenly():
    p_values = [
        compare([random_table(s, 150)], [random_table(1000 + s, 150)], n_samples=200)[""].p_value for s in range(150)
    ]
    assert 0.4 < np.mean(p_values) < 0.6
    assert np.mean(np.array(p_values) < 0.05) < 0.11


def test_p_value_is_that_of_shuffling_sentence_by_sentence():
    a, b = random_table(7), random_table(8, right=0.66)
    counts = np.stack([t.per_sentence(["X", "Y"]).sum(axis=1) for t in (a, b)])

    def gap(pair):
        (ca, pa, ga), (cb, pb, gb) = pair.sum(axis=1)
        return abs(2 * cb / (pb + gb) - 2 * ca / (pa + ga))

    rng = np.random.default_rng(0)
    larger = 0
    for _ in range(3000):
        swap = rng.random(counts.shape[1]) < 0.5
        larger += gap(np.where(swap[None, :, None], counts[::-1], counts)) >= gap(counts)
    assert compare([a], [b])[""].p_value == pytest.approx(larger / 3000, abs=0.03)


def test_several_runs_a_system_count_as_their_mean():
    a = [random_table(s) for s in (10, 11, 12)]
    b = [random_table(s) for s in (20, 21)]
    result = compare(a, b, n_samples=300)[""]
    assert result.a == pytest.approx(np.mean([t.overall.f1 for t in a]), abs=0.003)
    assert result.b == pytest.approx(np.mean([t.overall.f1 for t in b]), abs=0.003)


def test_ten_thousand_samples_of_a_large_set_are_quick():
    table = random_table(9, 20_000)
    start = time.process_time()
    f1_intervals(table)
    assert time.process_time() - start < 2


def test_no_sentences():
    table = score_sentences([], Scheme.IOB2).table
    assert f1_intervals(table) == {"": (0.0, 0.0)}
