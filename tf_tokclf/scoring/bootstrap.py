"""Confidence intervals of scores and tests of differences, computed from counts per sentence.

Intervals come from resampling sentences, separately for each type. Sentences with the same counts are interchangeable,
so it is enough to draw how often each *kind* of sentence occurs in a sample, which is multinomially distributed. There
are few kinds: ten thousand samples of a hundred thousand sentences take less than a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, get_args

import numpy as np

from tf_tokclf.scoring.counts import Counts, CountTable

N_SAMPLES = 10_000
LEVEL = 0.95
# With fewer distinct entities (gold or predicted), or fewer sentences that contain one, resampling gives intervals that
# are far too narrow (docs/log.md).
FEWEST_TO_RESAMPLE = 50
FEWEST_SENTENCES = 10
OVERALL = ""  # the key of all types together in dictionaries by type

Interval = tuple[float, float]
ScoreName = Literal["precision", "recall", "f1"]
SCORE_NAMES: tuple[ScoreName, ...] = get_args(ScoreName)
# Weights of the correct, predicted and gold items in the denominator of each score.
_CONTAINS: Mapping[ScoreName, np.ndarray] = {
    "precision": np.array([0, 1, 0]),
    "recall": np.array([0, 0, 1]),
    "f1": np.array([0, 1, 1]),
}

_DRAWS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Difference:
    """F1 of the systems A and B on the same sentences, with the interval and the p-value of B minus A.

    p_value: two-sided, from a paired permutation test, which swaps the outputs of A and B in randomly chosen sentences.
    It is exactly 1 for a system compared with itself.
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
    """Intervals of F1 by type, and of all types together under the key "". See `score_intervals`."""
    return score_intervals(table, measures=("f1",), n_samples=n_samples, seed=seed, level=level)["f1"]


def score_intervals(
    table: CountTable,
    *,
    measures: Sequence[ScoreName] = SCORE_NAMES,
    n_samples: int = N_SAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[ScoreName, dict[str, Interval]]:
    """Intervals of each measure by type, and of all types together under the key "".

    Each is the percentile interval over the samples in which the measure is defined. Wilson's interval is used instead
    if there are fewer than FEWEST_TO_RESAMPLE items (F1: gold and predicted entities; precision: predicted; recall:
    gold) or fewer than FEWEST_SENTENCES sentences that contain one, and if the score is 0 or 1, because it is then the
    same in every sample.
    """
    intervals: dict[ScoreName, dict[str, Interval]] = {measure: {} for measure in measures}
    for name, total in {**table.by_type, OVERALL: table.overall}.items():
        counts = table.of_sentences(name or None)
        samples: np.ndarray | None = None
        for measure in measures:
            interval = None
            if _is_enough(measure, counts, total):
                samples = _resample(counts, n_samples, seed) if samples is None else samples
                interval = _resampled_interval(measure, samples, level)
            intervals[measure][name] = interval or wilson_interval(total, level, measure=measure)
    return intervals


def _is_enough(measure: ScoreName, counts: np.ndarray, total: Counts) -> bool:
    """Whether there is enough to resample. counts: (sentences, 3)."""
    n_sentences = int((counts @ _CONTAINS[measure] > 0).sum())
    has_items = _n_items(measure, total) >= FEWEST_TO_RESAMPLE and n_sentences >= FEWEST_SENTENCES
    return has_items and getattr(total, measure) not in (0, 1)


def _n_items(measure: ScoreName, total: Counts) -> float:
    """The number of items of which the score is, or for F1 determines, a proportion."""
    by_measure = {"precision": total.predicted, "recall": total.gold}
    return by_measure.get(measure, total.predicted + total.gold - total.correct)


def _resampled_interval(measure: ScoreName, samples: np.ndarray, level: float) -> Interval | None:
    """The percentile interval; None if the score is defined in no sample. samples: (samples, 3)."""
    total = samples @ _CONTAINS[measure]
    defined = total > 0
    times = 2 if measure == "f1" else 1
    return _percentiles(times * samples[defined, 0] / total[defined], level) if defined.any() else None


def wilson_interval(counts: Counts, level: float = LEVEL, *, measure: ScoreName = "f1") -> Interval:
    """Wilson's interval of a proportion (Wilson 1927), for small numbers of entities.

    For F1 it is that of Lam, Gopal and Qian (2024, arXiv:2309.14621): F1 = 2 s / (1 + s) grows with the proportion
    s = TP / (TP + FP + FN), so the ends of the interval for s give those for F1. Unlike an interval from resampling, it
    is not empty if all entities are right or all are wrong.

    >>> [round(end, 3) for end in wilson_interval(Counts(correct=2, predicted=2, gold=2))]
    [0.51, 1.0]
    >>> [round(end, 3) for end in wilson_interval(Counts(correct=2, predicted=2, gold=2), measure="recall")]
    [0.342, 1.0]
    """
    n = _n_items(measure, counts)
    if not n:
        return 0.0, 0.0
    share, z = counts.correct / n, NormalDist().inv_cdf((1 + level) / 2)
    middle = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = ((middle + side) / (1 + z**2 / n) for side in (-half, half))
    if measure == "f1":
        low, high = 2 * low / (1 + low), 2 * high / (1 + high)
    # Rounding must not move an end past the score itself.
    score = getattr(counts, measure)
    return min(max(0.0, low), score), max(min(1.0, high), score)


def intervals_json(intervals: Mapping[str, Interval], *, n_samples: int = N_SAMPLES, level: float = LEVEL) -> Any:
    """Intervals of one measure for results.json."""
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
    """Differences between two systems with one or more runs (seeds) each: by type, and overall under the key "".

    The counts of a system's runs are first averaged sentence by sentence. Intervals and p-values therefore express the
    uncertainty from the choice of sentences, not from the choice of seeds. In a sample without a type, the difference
    for that type is 0.
    """
    types = sorted({name for table in (*a, *b) for name in table.by_type})
    return {name: _difference(a, b, name or None, n_samples, seed, level) for name in [*types, OVERALL]}


def _difference(
    a: Sequence[CountTable], b: Sequence[CountTable], type_: str | None, n_samples: int, seed: int, level: float
) -> Difference:
    means = [np.mean([table.of_sentences(type_) for table in tables], axis=0) for tables in (a, b)]
    counts = np.stack(means, axis=1)  # (sentences, 2, 3)
    observed = _f1(counts.sum(axis=0))
    samples = _f1(_resample(counts, n_samples, seed))
    return Difference(
        a=float(observed[0]),
        b=float(observed[1]),
        interval=_percentiles(samples[:, 1] - samples[:, 0], level),
        p_value=_permutation_p_value(counts, observed, n_samples, seed),
    )


def p_value_of_worse(counts: np.ndarray, *, n_samples: int = N_SAMPLES, seed: int = 0) -> float | None:
    """The one-sided p-value for a part of the data with a lower F1 than the rest. None if one of them has no entities.

    counts: (sentences, 2, 3), of the part and of the rest, which may share sentences. Sentences are resampled, and the
    p-value is the share of samples in which the difference exceeds the observed one by as much as this exceeds 0
    (Berg-Kirkpatrick, Burkett and Klein 2012, D12-1091). Where there is too little to resample (as in
    `score_intervals`), Fisher's exact test compares the proportions s = TP / (TP + FP + FN), of which F1 is a function.
    """
    totals = [Counts(*row.tolist()) for row in counts.sum(axis=0)]
    if not all(_n_items("f1", total) for total in totals):
        return None
    if not all(_is_enough("f1", counts[:, i], total) for i, total in enumerate(totals)):
        return _fisher_p_value(*totals)
    observed = totals[1].f1 - totals[0].f1
    samples = _f1(_resample(counts, n_samples, seed))
    exceeds = samples[:, 1] - samples[:, 0] - observed >= observed - 1e-12
    return float((1 + exceeds.sum()) / (1 + n_samples))


def _fisher_p_value(part: Counts, rest: Counts) -> float:
    """The probability of at most as many correct items in the part, if all items are alike (Fisher 1935)."""
    n, n_rest = int(_n_items("f1", part)), int(_n_items("f1", rest))
    n_correct, correct = int(part.correct + rest.correct), int(part.correct)
    low = max(0, n_correct - n_rest)
    logs = [
        _log_choices(n, k) + _log_choices(n_rest, n_correct - k) - _log_choices(n + n_rest, n_correct)
        for k in range(low, correct + 1)
    ]
    return min(1.0, math.fsum(map(math.exp, logs)))


def _log_choices(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number, so that the probability of any false discovery is limited (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def _f1(counts: np.ndarray) -> np.ndarray:
    """(..., 3) correct, predicted, gold -> (...)."""
    total = counts[..., 1] + counts[..., 2]
    scores = np.zeros(total.shape)
    np.divide(2 * counts[..., 0], total, out=scores, where=total > 0)
    return scores


def _percentiles(values: np.ndarray, level: float) -> Interval:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return low, high


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


def _permutation_p_value(counts: np.ndarray, observed: np.ndarray, n_samples: int, seed: int) -> float:
    """counts: (sentences, 2, 3). observed: (2,)."""
    gap = counts[:, 1] - counts[:, 0]
    moved, n_of_kind = _kinds(gap[gap.any(axis=1)])
    rng = np.random.default_rng((seed, 1))
    at_once = max(1, _DRAWS_AT_ONCE // max(len(moved), 1))
    parts = []
    for start in range(0, n_samples, at_once):
        size = (min(at_once, n_samples - start), len(moved))
        parts.append(rng.binomial(n_of_kind, 0.5, size=size) @ moved)
    shift = np.concatenate(parts)
    a, b = counts.sum(axis=0)
    shuffled = np.abs(_f1(b - shift) - _f1(a + shift))
    # Sums of the same numbers in a different order may differ in the last bit.
    as_large = shuffled >= np.abs(observed[1] - observed[0]) - 1e-12
    return float((1 + as_large.sum()) / (1 + n_samples))


def _kinds(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows, (kinds, numbers in a row) float64, and the number of sentences of each kind."""
    rows = counts.reshape(len(counts), math.prod(counts.shape[1:]))
    # Most sentences have no entity of the type. Leaving them out saves most of the time, which sorting takes.
    occurs = rows.any(axis=1)
    kinds, n_of_kind = np.unique(rows[occurs], axis=0, return_counts=True)
    n_empty = len(rows) - int(occurs.sum())
    if n_empty:
        kinds, n_of_kind = np.vstack([kinds, np.zeros_like(rows[:1])]), np.append(n_of_kind, n_empty)
    return kinds.astype(np.float64), n_of_kind
