"""How much of the gold spans the predicted spans cover, whatever their types: what matters for redaction.

If the words of all predicted spans are blacked out, a gold span is *touched* if at least one of its words is covered,
and *covered* if all of them are. The *character recall* is the share of its characters that are covered. Only the
characters of words count, not the space between them. Recall at the level of characters or tokens that ignores types is
the usual measure of de-identification (Uzuner, Luo and Szolovits 2007, doi:10.1197/jamia.M2444).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from tf_tokclf.labels.sentence import Origin
from tf_tokclf.scoring.bootstrap import (
    FEWEST_SENTENCES,
    FEWEST_TO_RESAMPLE,
    LEVEL,
    OVERALL,
    Interval,
    intervals_json,
    score_intervals,
    wilson_interval,
)
from tf_tokclf.scoring.counts import Counts, CountTable
from tf_tokclf.scoring.matching import SpanArrays

MEASURES = ("character_recall", "touched", "covered")
# Sentences differ more in numbers of characters than in numbers of spans, so resampling takes longer.
_N_CHARACTER_SAMPLES = 1_000
_KEPT = 20


@dataclass(frozen=True)
class Miss:
    """A gold span that is not covered. number: its sentence, from 1. start, end: its words, as in `Span`."""

    n_leaked: int
    n_characters: int
    number: int
    start: int
    end: int
    type: str
    words: tuple[str, ...] = field(repr=False)
    origin: Origin | None = None

    def to_json(self) -> dict[str, Any]:
        """The span by its place, without its words."""
        place = str(self.origin) if self.origin else None
        span = {"start": self.start, "end": self.end, "type": self.type}
        characters = {"characters": self.n_characters, "leaked": self.n_leaked}
        return {"sentence": self.number, "place": place, **span, **characters}


@dataclass(frozen=True, eq=False)
class Leaks:
    """How much of the gold spans is covered.

    tables: by measure; `correct` are the covered items (characters or spans), `gold` all items, and `predicted` is 0.
    worst: the spans with the most characters that are not covered, longest first.
    """

    tables: Mapping[str, CountTable]
    worst: tuple[Miss, ...]

    @cached_property
    def intervals(self) -> dict[str, dict[str, Interval]]:
        """95 % confidence intervals of each measure by type, and of all types together under the key ""."""
        characters, *spans = MEASURES
        intervals = {name: score_intervals(self.tables[name], measures=("recall",))["recall"] for name in spans}
        return {characters: self._character_intervals(), **intervals}

    def _character_intervals(self) -> dict[str, Interval]:
        """Characters of the same span are not independent, so Wilson's interval is that for the number of spans."""
        characters, spans = self.tables["character_recall"], self.tables["covered"]
        found = score_intervals(characters, measures=("recall",), n_samples=_N_CHARACTER_SAMPLES)["recall"]
        for name, total in {**characters.by_type, OVERALL: characters.overall}.items():
            n_spans = (spans.by_type[name] if name else spans.overall).gold
            n_sentences = int((spans.of_sentences(name or None)[:, 2] > 0).sum())
            if n_spans < FEWEST_TO_RESAMPLE or n_sentences < FEWEST_SENTENCES or total.recall in (0, 1):
                found[name] = wilson_interval(Counts(total.recall * n_spans, gold=n_spans), LEVEL, measure="recall")
        return found

    def shares(self, type_: str = OVERALL) -> dict[str, float]:
        """Each measure for a type, or for all types together."""
        return {name: self._counts(name, type_).recall for name in MEASURES}

    def _counts(self, measure: str, type_: str) -> Counts:
        table = self.tables[measure]
        return table.by_type.get(type_, Counts()) if type_ else table.overall

    def n_spans(self, type_: str = OVERALL) -> int:
        """The number of gold spans."""
        return self._counts("covered", type_).gold

    @property
    def types(self) -> list[str]:
        """The types of the gold spans, sorted."""
        return list(self.tables["covered"].by_type)

    def to_json(self) -> dict[str, Any]:
        """The measures with intervals, and the places of the worst misses."""

        def one(type_: str) -> dict[str, float]:
            return {**self.shares(type_), "support": self.n_spans(type_)}

        intervals = {f"{name}_interval": intervals_json(found) for name, found in self.intervals.items()}
        intervals["character_recall_interval"]["n_samples"] = _N_CHARACTER_SAMPLES
        return {
            "overall": one(OVERALL),
            "by_type": {type_: one(type_) for type_ in self.types},
            **intervals,
            "worst": [miss.to_json() for miss in self.worst],
        }


class LeakCounter:
    """Counts covered characters and spans block by block. Memory holds a few numbers per gold span."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []  # sentence, type, and covered and all items for each measure
        self._worst: list[tuple[int, int, Miss]] = []

    def add(
        self,
        gold: SpanArrays,
        predicted: SpanArrays,
        sentences: Sequence[Sequence[str]],
        types: Sequence[str],
        *,
        origins: Sequence[Origin | None],
        n_before: int,
    ) -> None:
        """Count the spans of a block. sentences: their words. n_before: the number of sentences in earlier blocks."""
        lengths = np.fromiter(map(len, chain.from_iterable(sentences)), np.int64)
        is_covered = _is_covered(predicted, len(lengths))
        n_words, n_characters = gold.end - gold.start, _sums(lengths, gold)
        n_covered, n_hidden = _sums(is_covered.astype(np.int64), gold), _sums(lengths * is_covered, gold)
        ends = np.cumsum([len(words) for words in sentences])
        sentence = np.searchsorted(ends, gold.start, side="right")
        ones = np.ones(len(gold), np.int64)
        columns = [n_hidden, n_characters, n_covered > 0, ones, n_covered == n_words, ones]
        self._rows.append(np.stack([sentence + n_before, gold.type, *columns], axis=1))
        n_leaked = n_characters - n_hidden
        # More than these of one block cannot be among the worst.
        for i in np.argsort(-n_leaked, kind="stable")[:_KEPT].tolist():
            if n_leaked[i]:
                number = int(sentence[i])
                start = int(gold.start[i]) - (int(ends[number - 1]) if number else 0)
                end = start + int(n_words[i])
                miss = Miss(
                    int(n_leaked[i]),
                    int(n_characters[i]),
                    number + n_before + 1,
                    start,
                    end,
                    types[gold.type[i]],
                    tuple(sentences[number][start:end]),
                    origins[number],
                )
                self._keep(miss)

    def _keep(self, miss: Miss) -> None:
        # Of equally long ones, the earlier is kept.
        item = (miss.n_leaked, -miss.number * 1_000_000 - miss.start, miss)
        if len(self._worst) < _KEPT:
            heapq.heappush(self._worst, item)
        else:
            heapq.heappushpop(self._worst, item)

    def result(self, types: Sequence[str], n_sentences: int) -> Leaks:
        """The result for the blocks added so far."""
        rows = np.concatenate([np.zeros((0, 8), np.int64), *self._rows])
        nothing = np.zeros(len(rows), np.int64)
        tables = {}
        for name, column in zip(MEASURES, (2, 4, 6)):
            counts = np.stack([rows[:, column], nothing, rows[:, column + 1]], axis=1)
            tables[name] = CountTable(tuple(types), n_sentences, rows[:, 0], rows[:, 1], counts)
        return Leaks(tables, tuple(item[-1] for item in sorted(self._worst, key=lambda item: item[:2], reverse=True)))


def _is_covered(spans: SpanArrays, n_words: int) -> np.ndarray:
    """(words,) bool: whether a span contains the word."""
    changes = np.zeros(n_words + 1, np.int64)
    np.add.at(changes, spans.start, 1)
    np.add.at(changes, spans.end, -1)
    covered: np.ndarray = np.cumsum(changes)[:n_words] > 0
    return covered


def _sums(values: np.ndarray, spans: SpanArrays) -> np.ndarray:
    """The sum of the values of the words of each span."""
    totals = np.concatenate([[0], np.cumsum(values)])
    sums: np.ndarray = totals[spans.end] - totals[spans.start]
    return sums
