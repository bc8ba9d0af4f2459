"""Confidence intervals and comparisons."""

from __future__ import annotations

import time
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.values import check_values
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.scoring.bootstrap import (
    FEWEST_TO_RESAMPLE,
    LEVEL,
    N_SAMPLES,
    Difference,
    ScoreName,
    compare,
    f1_intervals,
    intervals_json,
    score_intervals,
    wilson_interval,
)
from tf_tokclf.scoring.counts import Counts, CountTable
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


def test_differences_are_values():
    check_values(Difference)
    assert Difference(0.25, 0.75, (0.0, 1.0), 0.5).difference == 0.5


def slow_shares(table: CountTable, n_samples: int, seed: int) -> dict[str, tuple[float, float]]:
    counts = table.per_sentence().sum(axis=1)
    rng = np.random.default_rng(seed)
    sums = np.array([counts[rng.integers(0, len(counts), len(counts))].sum(axis=0) for _ in range(n_samples)])
    shares = {"precision": sums[:, 0] / sums[:, 1], "recall": sums[:, 0] / sums[:, 2]}
    return {name: tuple(np.quantile(values, [0.025, 0.975])) for name, values in shares.items()}


def test_intervals_of_precision_and_recall_are_those_of_resampled_sentences():
    table = random_table(3)
    found, slow = score_intervals(table, n_samples=4000), slow_shares(table, 4000, 5)
    for name, interval in slow.items():
        assert found[name][""] == pytest.approx(interval, abs=0.008)
    assert found["f1"] == f1_intervals(table, n_samples=4000)
    assert found["recall"][""] != found["precision"][""]


@pytest.mark.parametrize(("measure", "n"), [("recall", 40), ("precision", 20)])
def test_small_counts_have_wilsons_interval_of_precision_and_recall(measure: ScoreName, n: int):
    low, high = wilson_interval(Counts(15, 20, 40), measure=measure)
    assert (low, high) == pytest.approx(tuple(binomtest(15, n).proportion_ci(method="wilson")))
    table = small_table([(15, 20, 40)])
    assert score_intervals(table)[measure]["X"] == (low, high)


def test_json_says_how_the_interval_was_made():
    assert (N_SAMPLES, LEVEL) == (10_000, 0.95)
    intervals = {"X": (0.1, 0.2), "": (0.3, 0.4), "A": (0.5, 0.6)}
    by_type = {"X": [0.1, 0.2], "A": [0.5, 0.6]}
    expected = {"level": 0.95, "n_samples": 10_000, "overall": [0.3, 0.4], "by_type": by_type}
    assert intervals_json(intervals) == expected
    other = intervals_json(intervals, n_samples=7, level=0.5)
    assert other == {**expected, "level": 0.5, "n_samples": 7}


@pytest.mark.parametrize("at_once", [1, 50, 1000])
def test_samples_do_not_depend_on_how_many_are_drawn_at_once(monkeypatch, at_once):
    a, b = random_table(1, 80), random_table(2, 80)
    whole = f1_intervals(a, n_samples=60), compare([a], [b], n_samples=60)
    monkeypatch.setattr("tf_tokclf.scoring.bootstrap._DRAWS_AT_ONCE", at_once)
    assert (f1_intervals(a, n_samples=60), compare([a], [b], n_samples=60)) == whole


def test_a_lower_level_is_a_narrower_interval():
    a, b = random_table(1), random_table(2)
    for intervals in (
        lambda level: f1_intervals(a, n_samples=2000, level=level)[""],
        lambda level: compare([a], [b], n_samples=2000, level=level)[""].interval,
    ):
        wide, narrow = intervals(0.95), intervals(0.5)
        assert wide[0] < narrow[0] < narrow[1] < wide[1]
        # The quantiles of a normal distribution: 1.96 and 0.674.
        assert (wide[1] - wide[0]) / (narrow[1] - narrow[0]) == pytest.approx(2.9, rel=0.12)


def test_the_interval_of_a_difference_is_that_of_resampling_sentences():
    a, b = random_table(1, 100), random_table(2, 100, right=0.8)
    counts = np.stack([t.per_sentence(["X", "Y"]).sum(axis=1) for t in (a, b)], axis=1)
    rng = np.random.default_rng(3)
    gaps = []
    for _ in range(4000):
        (ca, pa, ga), (cb, pb, gb) = counts[rng.integers(0, 100, 100)].sum(axis=0)
        gaps.append(2 * cb / (pb + gb) - 2 * ca / (pa + ga))
    found = compare([a], [b], n_samples=4000)[""]
    assert found.interval == pytest.approx(tuple(np.quantile(gaps, [0.025, 0.975])), abs=0.012)
    assert (found.a, found.b) == (pytest.approx(a.overall.f1), pytest.approx(b.overall.f1))


def small_table(rows) -> CountTable:
    """One sentence for each (correct, predicted, gold), all of type X."""
    return CountTable(("X",), len(rows), np.arange(len(rows)), np.zeros(len(rows), int), np.array(rows, np.int32))


def test_a_p_value_is_that_of_all_ways_to_change_places():
    a = [(0, 1, 1), (0, 0, 2), (1, 1, 1), (0, 2, 1), (1, 1, 1), (0, 1, 1), (0, 0, 1), (1, 2, 1)]
    b = [(1, 1, 1), (1, 2, 2), (1, 1, 1), (1, 1, 1), (0, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 1)]

    def f1(rows):
        return sum((Counts(*row) for row in rows), Counts()).f1

    gap = abs(f1(b) - f1(a))
    gaps = []
    for swaps in product((False, True), repeat=len(a)):
        one = [y if swap else x for x, y, swap in zip(a, b, swaps)]
        other = [x if swap else y for x, y, swap in zip(a, b, swaps)]
        gaps.append(abs(f1(other) - f1(one)) >= gap - 1e-9)
    found = compare([small_table(a)], [small_table(b)], n_samples=20_000)
    assert 0.1 < np.mean(gaps) < 0.9
    assert found["X"].p_value == found[""].p_value == pytest.approx(np.mean(gaps), abs=0.012)


def test_a_p_value_is_never_below_what_the_samples_can_tell():
    a, b = small_table([(0, 1, 1)] * 60), small_table([(1, 1, 1)] * 60)
    assert compare([a], [b], n_samples=99)[""].p_value == 0.01


def test_a_type_that_one_side_has_alone_is_compared():
    a = small_table([(1, 1, 1)] * 3)
    b = CountTable(("Z", "X"), 3, np.arange(3), np.array([0, 1, 1]), np.array([(0, 1, 0), (1, 1, 1), (0, 0, 1)]))
    found = compare([a], [b], n_samples=50)
    assert list(found) == ["X", "Z", ""]
    assert (found["Z"].a, found["Z"].b, found["Z"].p_value) == (0, 0, 1)
    assert (found["X"].a, found["X"].b) == (1, 2 / 3)
    assert {type(x) for one in found.values() for x in (one.a, one.b, *one.interval, one.p_value)} == {float}


def test_runs_of_a_system_are_averaged_sentence_by_sentence():
    runs = [small_table([(1, 1, 1), (0, 1, 1)]), small_table([(0, 1, 1), (0, 0, 1)])]
    found = compare(runs, [small_table([(0, 0, 1)] * 2)], n_samples=10)[""]
    assert found.a == pytest.approx(2 * 0.5 / (1.5 + 2))
    assert found.b == 0


def test_the_seed_is_0_unless_another_is_given():
    a, b = random_table(1, 60), random_table(2, 60)
    assert f1_intervals(a, n_samples=50) == f1_intervals(a, n_samples=50, seed=0)
    assert compare([a], [b], n_samples=50) == compare([a], [b], n_samples=50, seed=0)


def test_other_seeds_are_other_samples():
    a, b = random_table(1), random_table(2)
    one, same, other = (compare([a], [b], n_samples=300, seed=seed)[""] for seed in (1, 1, 2))
    assert one == same
    assert one.interval != other.interval
    assert one.p_value != other.p_value


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


def only_type(rows) -> tuple[float, float]:
    return f1_intervals(small_table(rows), n_samples=400)["X"]


def test_a_rare_type_that_was_always_right_has_an_interval_that_means_something():
    """If samples without its only sentence count as F1 0, the interval is 0 to 100; without them it is 100 to 100."""
    for n_right, least in ((1, 0.34), (2, 0.5), (10, 0.83), (49, 0.96)):
        low, high = only_type([(1, 1, 1)] * n_right + [(0, 0, 0)] * 500)
        assert (low, high) == (pytest.approx(least, abs=0.02), 1)
    low, high = only_type([(0, 1, 1)] + [(0, 0, 0)] * 500)
    assert (low, high) == (0, pytest.approx(0.79, abs=0.01))


def test_a_frequent_type_that_was_always_right_or_wrong_has_one_too():
    assert only_type([(1, 1, 1)] * 200) == (pytest.approx(0.99, abs=0.001), 1)
    assert only_type([(0, 0, 1)] * 200) == (0, pytest.approx(0.037, abs=0.001))


def test_samples_without_a_type_are_left_out(monkeypatch):
    """Its 60 entities are in 2 of 300 sentences; every seventh sample contains neither."""
    monkeypatch.setattr("tf_tokclf.scoring.bootstrap.FEWEST_SENTENCES", 2)
    assert only_type([(15, 20, 25), (20, 20, 20)] + [(0, 0, 0)] * 300) == (pytest.approx(30 / 45), 1)


def test_many_entities_in_few_sentences_are_few():
    """Resampling a single sentence always gives the same sample."""
    rows = [(15, 20, 25)] * 9 + [(0, 0, 0)] * 300
    assert only_type(rows) == wilson_interval(Counts(9 * 15, 9 * 20, 9 * 25))
    low, high = only_type([(14, 20, 25), *rows])
    assert (low, high) != wilson_interval(Counts(9 * 15 + 14, 200, 250))
    assert low < high


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize(("correct", "predicted", "gold"), [(0, 3, 4), (2, 2, 2), (7, 12, 9), (30, 31, 40)])
def test_small_counts_have_wilsons_interval(correct, predicted, gold, level):
    n = predicted + gold - correct
    share = binomtest(correct, n).proportion_ci(level, method="wilson")
    expected = [2 * end / (1 + end) for end in share]
    counts = Counts(correct, predicted, gold)
    assert wilson_interval(counts, level) == pytest.approx(expected, abs=1e-12)
    low, high = f1_intervals(small_table([(correct, predicted, gold)] + [(0, 0, 0)] * 9), n_samples=5, level=level)["X"]
    assert (low, high) == wilson_interval(counts, level)
    assert 0 <= low <= counts.f1 <= high <= 1


def test_from_fifty_entities_on_sentences_are_resampled():
    rows = [(1, 1, 1), (0, 1, 0)] * 25
    assert FEWEST_TO_RESAMPLE == 50
    assert only_type(rows) != wilson_interval(Counts(25, 50, 25))
    assert only_type(rows[1:]) == wilson_interval(Counts(24, 49, 24))


def test_no_sentences():
    table = score_sentences([], Scheme.IOB2).table
    assert f1_intervals(table) == {"": (0.0, 0.0)}
