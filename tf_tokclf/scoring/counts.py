"""Counts of correct, predicted and gold items. All scores are computed from sums of them; ratios are taken last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of correct, predicted and gold items. A ratio whose denominator is 0 is 0, as in seqeval.

    >>> Counts(correct=1, predicted=2, gold=1) + Counts(gold=1)
    Counts(correct=1, predicted=2, gold=2)
    """

    correct: float = 0  # an integer, except with partial credit, which is given in halves
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.correct + other.correct, self.predicted + other.predicted, self.gold + other.gold)

    @property
    def precision(self) -> float:
        """Share of predicted items that are correct."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of gold items that were found."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.predicted + self.gold
        return 2 * self.correct / total if total else 0.0

    @property
    def support(self) -> int:
        """Number of gold items."""
        return self.gold


@dataclass(frozen=True, slots=True)
class Average:
    """Precision, recall and F1 averaged over types. `support` is the sum over types."""

    precision: float
    recall: float
    f1: float
    support: int


def average(counts: Iterable[Counts], *, weighted: bool) -> Average:
    """Mean over types, unweighted (macro) or weighted by the number of gold items."""
    counts = list(counts)
    weights = [one.gold if weighted else 1 for one in counts]

    def mean(values: Iterable[float]) -> float:
        return sum(weight * value for weight, value in zip(weights, values)) / (sum(weights) or 1)

    return Average(
        precision=mean(one.precision for one in counts),
        recall=mean(one.recall for one in counts),
        f1=mean(one.f1 for one in counts),
        support=sum(one.gold for one in counts),
    )


@dataclass(frozen=True, eq=False)
class CountTable:
    """Sparse counts per sentence and type. Scores, intervals and comparisons are computed from sums of its rows.

    types: names of the types. sentence, type: (rows,) int. counts: (rows, 3) int: correct, predicted, gold.
    """

    types: tuple[str, ...]
    n_sentences: int
    sentence: np.ndarray
    type: np.ndarray
    counts: np.ndarray

    @cached_property
    def by_type(self) -> dict[str, Counts]:
        """Counts of each type that occurs, sorted by name."""
        sums = np.zeros((len(self.types), 3), np.int64)
        np.add.at(sums, self.type, self.counts)
        occurring = ((name, row.tolist()) for name, row in zip(self.types, sums) if row.any())
        return {name: Counts(*row) for name, row in sorted(occurring)}

    @cached_property
    def overall(self) -> Counts:
        """Counts of all types together (micro average)."""
        return sum(self.by_type.values(), Counts())

    def per_sentence(self, types: Sequence[str] | None = None) -> np.ndarray:
        """(sentences, types, 3) int32: correct, predicted, gold. types: which ones, in which order (default: all)."""
        columns = {name: i for i, name in enumerate(self.types if types is None else types)}
        column = np.array([columns.get(name, -1) for name in self.types], np.int64)[self.type]
        kept = column >= 0
        dense = np.zeros((self.n_sentences, len(columns), 3), np.int32)
        np.add.at(dense, (self.sentence[kept], column[kept]), self.counts[kept])
        return dense

    def of_sentences(self, type_: str | None = None) -> np.ndarray:
        """(sentences, 3) int64: correct, predicted and gold items of one type, or of all types together."""
        chosen = slice(None) if type_ is None else np.array([name == type_ for name in self.types], bool)[self.type]
        sums = np.zeros((self.n_sentences, 3), np.int64)
        np.add.at(sums, self.sentence[chosen], self.counts[chosen])
        return sums


def tally(kinds: Sequence[np.ndarray], n_types: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count correct, predicted and gold items. Each item is given as the number `sentence * n_types + type`.

    Returns sentences, types and (rows, 3) counts.
    """
    keys = np.unique(np.concatenate(kinds))
    counts = [np.bincount(np.searchsorted(keys, items), minlength=len(keys)) for items in kinds]
    return keys // n_types, keys % n_types, np.stack(counts, axis=1).astype(np.int32)
