"""Score thresholds that keep a target for recall or precision on new sentences, with a stated confidence.

What is promised: the sentences of the calibration data are a sample. If new sentences come from the same source
(exchangeable), the recall (or precision) of a type at its threshold, over all sentences of that source, is at least the
target, unless the sample was an unlucky one. The probability of such a sample is at most 1 - confidence. The promise is
for each type by itself. The value on a particular new set also varies by chance around that of the source, and a source
of another kind may have any value.

How: for each threshold of a fixed grid, the hypothesis that the target is missed there is tested by the exact binomial
test, which inverts Clopper and Pearson's bound (`binomial`). Choosing among many thresholds would need a correction.
*Learn then Test* (Angelopoulos et al. 2021, arXiv:2110.01052) tests them in an order fixed in advance, and stops at the
first one that cannot be certified. All before it hold together at the full level:

- Recall falls as the threshold rises. The tests start at the lowest threshold and ascend; the highest certified
  threshold is the result.
- Precision mostly rises with the threshold, but there are few spans at the top. The tests descend from several
  thresholds (STARTS), each with an equal part of the level. What a start does not use passes to the next one (the
  fallback procedure of Wiens and Dmitrienko 2005, doi:10.1080/10543400500265660). The lowest certified threshold is the
  result. A start with fewer than FEWEST predicted spans, or so few that its test fails even if all are right, gives its
  part to the next one, and the last one moves down. This choice counts predicted spans and uses no labels.

Limits: spans of one sentence are not independent. The tests divide their number by the design effect, which is an
estimate, so the promise is exact only for independent spans. Choosing starts by counts keeps the level given the
predicted spans and their scores. How far these represent the source varies with the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Span
from tf_tokclf.scoring.binomial import design_effects, lower_bounds, p_value
from tf_tokclf.scoring.counts import Counts
from tf_tokclf.scoring.requirements import parse_requirements
from tf_tokclf.similar_names import similar_names

TargetMeasure = Literal["recall", "precision"]
DEFAULT = "default"  # the name of all types without a target of their own
_OWN_DEFAULT = f"by_type.{DEFAULT}"  # the name of a type that is itself called like this
# The threshold of types without any span in the data: such a span is more likely right than wrong.
MOST_LIKELY = 0.5
# The thresholds of tradeoff curves.
CURVE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
# Where tests of precision start, and the least number of predicted spans there. With fewer, a few errors are decisive.
STARTS = (0.99, 0.95, 0.8, 0.5)
FEWEST = 20


def _grid() -> np.ndarray:
    """Equal steps of the log-odds from 0.001 to 0.9999, rounded so that they can be printed, STARTS and CURVE."""
    odds = np.arange(np.log(0.001 / 0.999), np.log(0.9999 / 0.0001), 0.05)
    steps = 1 / (1 + np.exp(-odds))
    return np.unique([*(float(f"{step:.4g}") for step in steps), *STARTS, *CURVE])


GRID = _grid()


@dataclass(frozen=True)
class Target:
    """The least value of a measure of a type, a fraction. type: DEFAULT for all types without their own target."""

    type: str
    measure: TargetMeasure
    least: float

    def __str__(self) -> str:
        return f"{self.type}.{self.measure}>={self.least:g}"


def parse_targets(texts: Sequence[str]) -> tuple[Target, ...]:
    """The targets in texts such as `PER.recall>=0.98`, in the grammar of requirements.

    Raises UserError for other measures and signs, for limits that no data can prove, and for two targets of a type.

    >>> [str(one) for one in parse_targets(["PER.recall >= 0.98", "default.precision>=.9"])]
    ['PER.recall>=0.98', 'default.precision>=0.9']
    """
    targets: dict[str, Target] = {}
    for one in parse_requirements(texts, option="--target", example="PER.recall>=0.98"):
        name, _, measure = one.name.rpartition(".")
        name = name if name == _OWN_DEFAULT else name.removeprefix("by_type.")
        hint = "Write a target such as 'PER.recall>=0.98' or 'default.precision>=0.9'."
        known = next((one for one in get_args(TargetMeasure) if one == measure), None)
        if known is None or not name:
            raise UserError(f"--target {one}: a target is for TYPE.recall or TYPE.precision.", hint=hint)
        if one.sign != ">=" or not 0 < one.limit < 1:
            raise UserError(f"--target {one}: a target is '>=' a number between 0 and 1.", hint=hint)
        if name in targets:
            problem = f"--target {one}: {name} already has the target {targets[name]}."
            raise UserError(problem, hint="Name one target for each type.")
        targets[name] = Target(name, known, one.limit)
    return tuple(targets.values())


def target_of(type_: str, targets: Iterable[Target]) -> Target | None:
    """The target of a type: its own, otherwise the default, if there is one."""
    by_name = {one.type: one for one in targets}
    return by_name.get(_OWN_DEFAULT if type_ == DEFAULT else type_) or by_name.get(DEFAULT)


def check_types(targets: Iterable[Target], types: Sequence[str]) -> None:
    """Raise UserError for a target of a type that does not exist, or for one that can mean a type or all types."""
    targets = tuple(targets)
    has_own_default = any(target.type == _OWN_DEFAULT for target in targets)
    for target in targets:
        if target.type == DEFAULT and DEFAULT in types and not has_own_default:
            problem = f"--target {target}: {DEFAULT!r} means all other types, but is also a type of the model."
            raise UserError(problem, hint=f"Name that type as {_OWN_DEFAULT!r}, alone or beside {DEFAULT!r}.")
        known = (DEFAULT, *(_OWN_DEFAULT if name == DEFAULT else name for name in types))
        if target.type not in known:
            near = similar_names(target.type, types, n=3) or [*types[:5], *(["..."] if len(types) > 5 else [])]
            problem = f"--target {target}: the model has no type {target.type!r}."
            raise UserError(problem, hint=f"It has {', '.join(near)}. {DEFAULT!r} means all others.")


@dataclass(frozen=True)
class Calibration:
    """Counts of one type in the calibration data, by sentence.

    gold: (sentences,) gold spans. correct, predicted: (sentences, len(GRID)) spans at each threshold. plain: the counts
    without a threshold. Only sentences with a gold or predicted span of the type are kept.
    """

    gold: np.ndarray
    correct: np.ndarray
    predicted: np.ndarray
    plain: Counts

    def at(self, threshold: float) -> Counts:
        """The counts at a threshold of the grid, or at the next higher one."""
        i = min(int(np.searchsorted(GRID, threshold)), len(GRID) - 1)
        return Counts(*(int(x) for x in (self.correct[:, i].sum(), self.predicted[:, i].sum(), self.gold.sum())))

    def _items(self, measure: TargetMeasure) -> np.ndarray:
        return self.predicted if measure == "precision" else np.broadcast_to(self.gold[:, None], self.correct.shape)

    def evidence(self, measure: TargetMeasure) -> tuple[np.ndarray, np.ndarray]:
        """(len(GRID),) correct and all items at each threshold, divided by the design effect."""
        items = self._items(measure)
        effects = design_effects(self.correct, items)
        return self.correct.sum(axis=0) / effects, items.sum(axis=0) / effects


class SpanCounter:
    """Counts gold and scored spans of sentences by type and threshold."""

    def __init__(self, types: Sequence[str]) -> None:
        self.types = tuple(types)
        self._rows: list[tuple[int, int, float, bool]] = []
        self._gold: list[tuple[int, int]] = []
        self._plain = {name: Counts() for name in types}
        self._ids = {name: i for i, name in enumerate(types)}
        self.n_sentences = 0

    def add(self, gold: Iterable[Span], scored: Iterable[tuple[Span, float]], plain: Iterable[Span]) -> None:
        """Add a sentence.

        scored: all candidates with their scores, without overlaps. plain: the spans that are predicted without
        thresholds. Gold spans of types that the model does not have are ignored.
        """
        number, wanted, found = self.n_sentences, set(gold), set(plain)
        self.n_sentences += 1
        self._gold += [(number, self._ids[span.type]) for span in wanted if span.type in self._ids]
        for span, score in scored:
            self._rows.append((number, self._ids[span.type], score, span in wanted))
        for span in wanted | found:
            if span.type in self._ids:
                self._plain[span.type] += Counts(span in wanted & found, int(span in found), int(span in wanted))

    def joined(self, other: SpanCounter) -> SpanCounter:
        """The sentences of both, those of `other` last. Both must have the same types."""
        both, n_before = SpanCounter(self.types), self.n_sentences
        both._rows = [*self._rows, *((n_before + row[0], *row[1:]) for row in other._rows)]
        both._gold = [*self._gold, *((n_before + number, type_) for number, type_ in other._gold)]
        both._plain = {name: self._plain[name] + other._plain[name] for name in self.types}
        both.n_sentences = n_before + other.n_sentences
        return both

    def pooled(self, name: str) -> SpanCounter:
        """The same spans as if all of them had one type, which is called `name`. A span is right if its own type is."""
        one = SpanCounter((name,))
        one._rows = [(number, 0, score, right) for number, _, score, right in self._rows]
        one._gold = [(number, 0) for number, _ in self._gold]
        one._plain = {name: sum(self._plain.values(), Counts())}
        one.n_sentences = self.n_sentences
        return one

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, ...]:
        rows = np.array(self._rows or np.zeros((0, 4)), np.float64)
        # The number of thresholds of the grid that a score reaches.
        reached = np.searchsorted(GRID, rows[:, 2], side="right")
        gold = np.array(self._gold or np.zeros((0, 2)), np.int64)
        return rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), reached, rows[:, 3] > 0, gold

    def calibration(self, type_: str, sentences: np.ndarray | None = None) -> Calibration:
        """The counts of a type. sentences: (n_sentences,) bool, those that count; None for all. Then `plain` is that of
        all sentences.
        """
        sentence, type_ids, reached, right, gold = self._arrays
        own = type_ids == self._ids[type_]
        gold_sentences = gold[gold[:, 1] == self._ids[type_], 0]
        if sentences is not None:
            own &= sentences[sentence]
            gold_sentences = gold_sentences[sentences[gold_sentences]]
        kept, place = np.unique(np.concatenate([sentence[own], gold_sentences]), return_inverse=True)
        n_own = int(own.sum())
        counts = np.zeros((2, len(kept), len(GRID) + 1), np.int32)
        np.add.at(counts[0], (place[:n_own], reached[own]), right[own])
        np.add.at(counts[1], (place[:n_own], reached[own]), 1)
        # A span counts at all thresholds up to the last one that it reaches.
        correct, predicted = counts[:, :, ::-1].cumsum(axis=2, dtype=np.int32)[:, :, -2::-1]
        n_gold = np.bincount(place[n_own:], minlength=len(kept))
        return Calibration(n_gold, correct, predicted, self._plain[type_])


@dataclass(frozen=True)
class OperatingPoint:
    """The threshold of a type, with its counts on the calibration data.

    target: None if there is none; the threshold is then the one with the highest F1, as it is if the target is out of
    reach. low: the lower bound of the target's measure at the threshold. If the target is out of reach, `value` and
    `low` are those of the start with the highest bound, which is below the target. plain: the counts without
    thresholds.
    """

    type: str
    target: Target | None
    threshold: float
    is_met: bool
    value: float | None
    low: float | None
    counts: Counts
    plain: Counts

    def to_json(self) -> dict[str, Any]:
        """The entry in the JSON of the thresholds."""
        return {
            "threshold": self.threshold,
            "target": str(self.target) if self.target else None,
            "met": self.is_met if self.target else None,
            "value": self.value,
            "low": self.low,
            "at_threshold": _numbers(self.counts),
            "without_thresholds": _numbers(self.plain),
        }


def _numbers(counts: Counts) -> dict[str, float]:
    numbers = {name: getattr(counts, name) for name in ("precision", "recall", "f1")}
    return {**numbers, "support": counts.gold, "predicted": counts.predicted}


def operating_point(type_: str, found: Calibration, target: Target | None, confidence: float) -> OperatingPoint:
    """The threshold of a type that keeps the target with this confidence, see the module."""
    if target is None:
        threshold = _threshold_of_best_f1(found)
        return OperatingPoint(type_, None, threshold, True, None, None, found.at(threshold), found.plain)
    certified, level = certified_threshold(found, target, confidence)
    if certified is None:
        chosen, low = _best_start(found, target, confidence)
        threshold = _threshold_of_best_f1(found)
    else:
        chosen, low = certified, _bound(found, target.measure, certified, level)
        threshold = float(GRID[certified])
    value: float = getattr(found.at(float(GRID[chosen])), target.measure)
    counts = found.at(threshold)
    return OperatingPoint(type_, target, threshold, certified is not None, value, low, counts, found.plain)


def _bound(found: Calibration, measure: TargetMeasure, index: int, level: float) -> float:
    right, items = found.evidence(measure)
    return float(lower_bounds(right[[index]], items[[index]], level)[0])


def _best_start(found: Calibration, target: Target, confidence: float) -> tuple[int, float]:
    """The start with the highest lower bound, as an index in GRID, and this bound."""
    order, levels = _order(found, target, 1 - confidence)
    starts = [(int(order[i]), float(levels[i])) for i in np.flatnonzero(levels)]
    bounds = [_bound(found, target.measure, index, level) for index, level in starts]
    best = int(np.argmax(bounds))
    return starts[best][0], bounds[best]


def certified_threshold(found: Calibration, target: Target, confidence: float) -> tuple[int | None, float]:
    """The index in GRID of the threshold that keeps the target at least cost, and the level of its test.

    None and 0 if there is no such threshold.
    """
    values = p_value(*found.evidence(target.measure), target.least)
    order, starts = _order(found, target, 1 - confidence)
    levels = fallback_levels(values[order], starts)
    certified = order[(levels > 0) & (values[order] <= levels)]
    if not len(certified):
        return None, 0.0
    chosen = int(certified.max() if target.measure == "recall" else certified.min())
    return chosen, float(levels[np.flatnonzero(order == chosen)[0]])


def _order(found: Calibration, target: Target, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The order of the tests, as indices into GRID, and the part of the level with which each of them starts."""
    if target.measure == "recall":
        return np.arange(len(GRID)), level * (np.arange(len(GRID)) == 0)
    order = np.arange(len(GRID))[::-1]
    return order, _starts_of_precision(found.predicted.sum(axis=0)[order], GRID[order], target.least, level)


def _starts_of_precision(predicted: np.ndarray, thresholds: np.ndarray, least: float, level: float) -> np.ndarray:
    """The part of the level with which the test at each threshold starts. thresholds: falling. predicted: spans there.

    A start is moved down if it has fewer than FEWEST spans (and there are more below), or if its test would fail even
    with all spans right. If that holds everywhere, the rest of the level stays at the last start, or at the last
    threshold if there are no spans above.
    """
    fewest = min(FEWEST, predicted[-1])
    best = least ** predicted.astype(float)
    part, waiting, levels = level / len(STARTS), 0.0, np.zeros(len(thresholds))
    for i, threshold in enumerate(thresholds):
        is_start = threshold in STARTS
        waiting += part if is_start else 0.0
        may_start = is_start or threshold < min(STARTS)
        if waiting and may_start and predicted[i] >= fewest and best[i] <= waiting:
            levels[i], waiting = waiting, 0.0
    last = int(np.flatnonzero(thresholds == min(STARTS))[0])
    levels[last if predicted[last] else -1] += waiting
    return levels


def _threshold_of_best_f1(found: Calibration) -> float:
    """The threshold with the highest F1 on the calibration data; of several, the one closest to MOST_LIKELY."""
    correct, predicted = found.correct.sum(axis=0), found.predicted.sum(axis=0)
    f1 = 2 * correct / np.maximum(predicted + found.gold.sum(), 1)
    best = GRID[f1 == f1.max()]
    return float(best[np.abs(best - MOST_LIKELY).argmin()])


def fallback_levels(p_values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The level of each test in the fallback procedure. A test that succeeds passes its level on to the next one.

    levels: with which each test starts; the sum is the probability of any false success.

    >>> fallback_levels(np.array([0.01, 0.2, 0.01]), np.array([0.02, 0.0, 0.03])).tolist()
    [0.02, 0.02, 0.03]
    """
    kept, passed = np.zeros(len(p_values)), 0.0
    for i, (value, level) in enumerate(zip(p_values, levels)):
        kept[i] = passed + level
        passed = kept[i] if value <= kept[i] and kept[i] > 0 else 0.0
    return kept


def curve(found: Calibration) -> list[tuple[float, Counts]]:
    """The counts of a type at each threshold of CURVE."""
    return [(threshold, found.at(threshold)) for threshold in CURVE]


def total_curve(every: Mapping[str, Calibration]) -> list[tuple[float, Counts]]:
    """The counts of all types together if all had the same threshold, at each threshold of CURVE."""
    return [(t, sum((found.at(t) for found in every.values()), Counts())) for t in CURVE]
