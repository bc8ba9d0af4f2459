"""How sure a score is: intervals and tests, from counts per sentence alone.

Most are made by resampling sentences. Sentences with the same counts are interchangeable, so the number of times that
each *kind* of sentence is drawn is one multinomial number: ten thousand samples of a hundred thousand sentences take
seconds, not minutes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from tf_tokclf.scoring.counts import Counts, CountTable

N_SAMPLES = 10_000
LEVEL = 0.95
# With fewer different entities (gold or predicted), or fewer sentences with them, the intervals from resampling are far
# too narrow (docs/log.md).
FEWEST_TO_RESAMPLE = 50
FEWEST_SENTENCES = 10
OVERALL = ""  # the key of all types together, beside the names of types

Interval = tuple[float, float]

_DRAWS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Difference:
    """F1 of A and B on the same sentences, the interval of B minus A, and how often chance gives as much.

    p_value: two-sided, from a paired permutation test: which of the two gave which output is shuffled
    sentence by sentence. For a system and itself it is exactly 1.
    """

    a: float
    b: float
    interval: Interval
    p_value: float

    @property
    def difference(self) -> float:
        """B minus A."""
        return self.b - self.a


def f1_intervals(
    table: CountTable, *, n_samples: int = N_SAMPLES, seed: int = 0, level: float = LEVEL
) -> dict[str, Interval]:
    """Interval of F1 by type, and by "" for all types together.

    The percentile interval over the samples in which the type occurs. Wilson's interval where there are fewer entities
    than FEWEST_TO_RESAMPLE or fewer sentences with them than FEWEST_SENTENCES, and where F1 is 0 or 1, which it then is
    in each sample.
    """
    types = list(table.by_type)
    counts = _with_overall(table.per_sentence(types))
    samples = _resample(counts, n_samples, seed)
    totals, n_sentences = counts.sum(axis=0).tolist(), counts.any(axis=2).sum(axis=0).tolist()
    intervals = {}
    for i, name in enumerate([*types, OVERALL]):
        total = Counts(*totals[i])
        of_type = samples[:, i][samples[:, i].any(axis=1)]
        few = total.predicted + total.gold - total.correct < FEWEST_TO_RESAMPLE or n_sentences[i] < FEWEST_SENTENCES
        if few or total.f1 in (0, 1) or not len(of_type):
            intervals[name] = wilson_interval(total, level)
        else:
            low, high = _percentiles(_f1(of_type), level).tolist()
            intervals[name] = low, high
    return intervals


def wilson_interval(counts: Counts, level: float = LEVEL) -> Interval:
    """Wilson's interval for F1, for small numbers of entities (Lam, Gopal and Qian 2024, arXiv:2309.14621).

    F1 = 2 s / (1 + s) grows with s = TP / (TP + FP + FN), a share of the different entities, so the ends of Wilson's
    interval for s give those for F1. Unlike a sample of few sentences, it has a width where all or none are right.

    >>> [round(end, 3) for end in wilson_interval(Counts(correct=2, predicted=2, gold=2))]
    [0.51, 1.0]
    """
    n = counts.predicted + counts.gold - counts.correct
    if not n:
        return 0.0, 0.0
    share, z = counts.correct / n, NormalDist().inv_cdf((1 + level) / 2)
    middle = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = ((middle + side) / (1 + z**2 / n) for side in (-half, half))
    # Rounding must not put the score outside.
    return min(max(0.0, 2 * low / (1 + low)), counts.f1), max(min(1.0, 2 * high / (1 + high)), counts.f1)


def intervals_json(intervals: Mapping[str, Interval], *, n_samples: int = N_SAMPLES, level: float = LEVEL) -> Any:
    """Intervals of F1 as results.json holds them."""
    by_type = {name: list(one) for name, one in intervals.items() if name != OVERALL}
    return {"level": level, "n_samples": n_samples, "overall": list(intervals[OVERALL]), "by_type": by_type}


def compare(
    a: Sequence[CountTable],
    b: Sequence[CountTable],
    *,
    n_samples: int = N_SAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Difference]:
    """Differences by type, and by "" overall, between two systems of one or more runs (seeds) each.

    The counts of a system's runs are averaged sentence by sentence first. So intervals and p-values are about the
    choice of sentences, not about that of seeds. In a sample without a type its difference is 0.
    """
    types = sorted({name for table in (*a, *b) for name in table.by_type})
    means = [np.mean([_with_overall(table.per_sentence(types)) for table in tables], axis=0) for tables in (a, b)]
    counts = np.stack(means, axis=1)  # (sentences, 2, types + 1, 3)
    observed = _f1(counts.sum(axis=0))
    samples = _f1(_resample(counts, n_samples, seed))
    low, high = _percentiles(samples[:, 1] - samples[:, 0], level)
    p_values = _permutation_p_values(counts, observed, n_samples, seed)
    return {
        name: Difference(
            a=float(observed[0, i]),
            b=float(observed[1, i]),
            interval=(float(low[i]), float(high[i])),
            p_value=float(p_values[i]),
        )
        for i, name in enumerate([*types, OVERALL])
    }


def _with_overall(counts: np.ndarray) -> np.ndarray:
    """(sentences, types, 3) -> (sentences, types + 1, 3), the last being the sum over types."""
    return np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)


def _f1(counts: np.ndarray) -> np.ndarray:
    """(..., 3) correct, predicted, gold -> (...)."""
    total = counts[..., 1] + counts[..., 2]
    scores = np.zeros(total.shape)
    np.divide(2 * counts[..., 0], total, out=scores, where=total > 0)
    return scores


def _percentiles(values: np.ndarray, level: float) -> np.ndarray:
    ends: np.ndarray = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends


def _resample(counts: np.ndarray, n_samples: int, seed: int) -> np.ndarray:
    """Sums over sentences drawn with replacement. counts: (sentences, ...). Returns (samples, ...)."""
    n_sentences = len(counts)
    shape = counts.shape[1:]
    if not n_sentences:
        return np.zeros((n_samples, *shape))
    kinds, n_of_kind = _kinds(counts)
    rng = np.random.default_rng(seed)
    share = n_of_kind / n_sentences
    at_once = max(1, _DRAWS_AT_ONCE // len(kinds))
    parts = []
    for start in range(0, n_samples, at_once):
        draws = rng.multinomial(n_sentences, share, size=min(at_once, n_samples - start))
        parts.append(draws.astype(np.float64) @ kinds)
    return np.concatenate(parts).reshape(n_samples, *shape)


def _permutation_p_values(counts: np.ndarray, observed: np.ndarray, n_samples: int, seed: int) -> np.ndarray:
    """counts: (sentences, 2, types, 3). observed: (2, types). Returns (types,)."""
    shape = counts.shape[2:]
    gap = counts[:, 1] - counts[:, 0]
    moved, n_of_kind = _kinds(gap[gap.any(axis=(1, 2))])
    rng = np.random.default_rng((seed, 1))
    at_once = max(1, _DRAWS_AT_ONCE // max(len(moved), 1))
    parts = []
    for start in range(0, n_samples, at_once):
        size = (min(at_once, n_samples - start), len(moved))
        parts.append(rng.binomial(n_of_kind, 0.5, size=size) @ moved)
    shift = np.concatenate(parts).reshape(n_samples, *shape)
    a, b = counts.sum(axis=0)
    shuffled = np.abs(_f1(b - shift) - _f1(a + shift))
    # Sums of the same numbers in another order may differ in the last bit.
    as_large = shuffled >= np.abs(observed[1] - observed[0]) - 1e-12
    shares: np.ndarray = (1 + as_large.sum(axis=0)) / (1 + n_samples)
    return shares


def _kinds(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different rows as (kinds, numbers in a row) float64, and how many sentences are of each kind."""
    rows = counts.reshape(len(counts), math.prod(counts.shape[1:]))
    kinds, n_of_kind = np.unique(rows, axis=0, return_counts=True)
    return kinds.astype(np.float64), n_of_kind
