"""Tests of differences between two settings: over seeds, over sentences, and over data sets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_rel

from quality_grid.cells import Result
from quality_grid.scores import count_table
from tf_tokclf.scoring.bootstrap import Interval, compare

MOST_SIGNS = 16
N_SAMPLES = 10_000


@dataclass(frozen=True)
class Gap:
    """The F1 of one setting minus that of another, with the same data, encoder and seeds.

    n_seeds: number of seeds that both have. interval, p_sentences: from resampling and swapping test sentences.
    p_seeds: of the paired t-test over seeds, None with one seed.
    """

    n_seeds: int
    mean: float
    interval: Interval
    p_sentences: float
    p_seeds: float | None


def gap_between(ours: Mapping[int, Result], theirs: Mapping[int, Result]) -> Gap | None:
    """The gap of two settings over the seeds that both have; None if there are none. Arguments: results by seed."""
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    a, b = ([one[seed] for seed in seeds] for one in (theirs, ours))
    found = compare(*([count_table(row["counts"]) for row in rows] for rows in (a, b)), n_samples=N_SAMPLES)[""]
    f1 = [[row["f1"] for row in rows] for rows in (a, b)]
    mean = float(np.mean(f1[1]) - np.mean(f1[0]))
    return Gap(len(seeds), mean, found.interval, found.p_value, seed_p_value(*f1))


def seed_p_value(a: Sequence[float], b: Sequence[float]) -> float | None:
    """The two-sided p-value of the paired t-test. None if there are fewer than two pairs, or all differences agree."""
    if len(a) < 2 or len({round(y - x, 12) for x, y in zip(a, b)}) == 1:
        return None
    return float(ttest_rel(b, a).pvalue)


def sign_p_value(gaps: Sequence[float]) -> float | None:
    """The two-sided p-value of the mean of gaps, if the sign of each could as well be the other one (Fisher 1935).

    It is exact for up to 16 gaps, and over 100,000 random signs otherwise. None without gaps.

    >>> sign_p_value([0.1, 0.2, 0.3])
    0.25
    """
    if not gaps:
        return None
    values = np.array(gaps)
    n, is_exact = len(values), len(values) <= MOST_SIGNS
    every = itertools.product((1, -1), repeat=n)
    signs = np.array(list(every)) if is_exact else np.random.default_rng(0).choice((1, -1), size=(100_000, n))
    as_large = np.abs(signs @ values) >= abs(math.fsum(gaps)) - 1e-12
    return float(as_large.mean()) if is_exact else float((1 + as_large.sum()) / (1 + len(signs)))
