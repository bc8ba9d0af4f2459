"""Compute scores from gold and predicted labels in one pass. Only counts per sentence are kept in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError
from tf_tokclf.html_form import HtmlForm
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, Scheme
from tf_tokclf.labels.sentence import Origin
from tf_tokclf.scoring.counts import Average, Counts, CountTable, average, tally
from tf_tokclf.scoring.entities import MODES, entity_reader
from tf_tokclf.scoring.entities import Mode as Mode
from tf_tokclf.scoring.leaks import LeakCounter, Leaks
from tf_tokclf.scoring.matching import SpanArrays, lenient_counts

# Words scored at once: enough for numpy to be fast, few enough for constant memory.
_WORDS_AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class Scores(HtmlForm):
    """Scores of one set of sentences, and how they were computed.

    Attributes:
        scheme: Label scheme of the gold labels.
        mode: How invalid label sequences are read. `tables` has the counts in both modes.
        tables: Counts per sentence by mode. Without a label scheme there is one table, "words", which counts words.
        n_words: Number of words.
        n_right_words: Number of words with the right label.
        n_inside_words: Number of words whose gold label is not O.
        n_right_inside_words: Number of these words with the right label.
        lenient: Partial, boundary and type counts (`matching.lenient_counts`) over all types.
        surface: Counts of unique surface forms by type (WNUT-17's second measure). None if no words were given.
        leaks: How much of the gold spans is covered by predicted ones. None if no words were given.
        facts: Other counts that qualify the scores, such as the number of words that the model did not see.
    """

    scheme: Scheme
    mode: Mode
    tables: Mapping[str, CountTable] = field(repr=False)
    n_words: int
    n_right_words: int
    n_inside_words: int
    n_right_inside_words: int
    lenient: Mapping[str, Counts] = field(default_factory=dict)
    surface: Mapping[str, Counts] | None = field(default=None, repr=False)
    facts: Mapping[str, int] = field(default_factory=dict)
    leaks: Leaks | None = field(default=None, repr=False)

    @property
    def has_spans(self) -> bool:
        """True if spans were scored; False if, without a label scheme, the labels of words were."""
        return self.scheme is not Scheme.NONE

    @property
    def table(self) -> CountTable:
        """The counts per sentence of `mode`, whose sums are the scores."""
        return self.tables[self.mode if self.has_spans else "words"]

    @property
    def n_sentences(self) -> int:
        return self.table.n_sentences

    @property
    def by_type(self) -> dict[str, Counts]:
        """Counts of each type (or of each label, without a label scheme), sorted by name."""
        return self.table.by_type

    @property
    def overall(self) -> Counts:
        """Micro average: the counts of all types together."""
        return self.table.overall

    @property
    def macro(self) -> Average:
        """Unweighted mean over types."""
        return average(self.by_type.values(), weighted=False)

    @property
    def weighted(self) -> Average:
        """Mean over types, weighted by their number of gold spans."""
        return average(self.by_type.values(), weighted=True)

    @property
    def token_accuracy(self) -> float:
        """Share of words with the right label."""
        return self.n_right_words / self.n_words if self.n_words else 0.0

    @property
    def token_accuracy_without_o(self) -> float | None:
        """Share of correctly labelled words among those whose gold label is not O; None without a label scheme."""
        if not self.has_spans:
            return None
        return self.n_right_inside_words / self.n_inside_words if self.n_inside_words else 0.0

    def in_mode(self, mode: Mode) -> Scores:
        """The scores in another mode."""
        return replace(self, mode=mode)

    def with_facts(self, **facts: int) -> Scores:
        """The scores with more `facts`, such as `n_truncated_words` and `n_repaired_sentences`."""
        return replace(self, facts={**self.facts, **facts})

    def to_json(self) -> dict[str, Any]:
        """The scores for results.json. The keys stay the same in all versions."""
        result: dict[str, Any] = {
            "scheme": self.scheme.value,
            "mode": self.mode if self.has_spans else None,
            "unit": "span" if self.has_spans else "word",
            "overall": numbers(self.overall),
            "macro": numbers(self.macro),
            "weighted": numbers(self.weighted),
            "by_type": {name: numbers(counts) for name, counts in self.by_type.items()},
            "token_accuracy": self.token_accuracy,
            "token_accuracy_without_o": self.token_accuracy_without_o,
            "n_sentences": self.n_sentences,
            "n_words": self.n_words,
            **self.facts,
        }
        if self.has_spans:
            result["modes"] = {mode: numbers(self.tables[mode].overall) for mode in MODES}
            result["lenient"] = {name: numbers(counts) for name, counts in self.lenient.items()}
        if self.surface is not None:
            result["surface_forms"] = {
                "overall": numbers(sum(self.surface.values(), Counts())),
                "by_type": {name: numbers(counts) for name, counts in self.surface.items()},
            }
        return result


def numbers(scored: Counts | Average) -> dict[str, float]:
    """Precision, recall, F1 and support, and the number of correct and predicted spans if `scored` has it."""
    result: dict[str, float] = {name: getattr(scored, name) for name in ("precision", "recall", "f1", "support")}
    if isinstance(scored, Counts):
        result |= {"correct": scored.correct, "predicted": scored.predicted}
    return result


def score_sentences(
    pairs: Iterable[tuple[Sequence[str], Sequence[str]]], scheme: Scheme, *, mode: Mode = "conlleval"
) -> Scores:
    """Score pairs of gold and predicted labels, one pair per sentence. A span never crosses the end of a sentence.

    >>> score_sentences([(["B-PER", "O"], ["B-PER", "B-LOC"])], Scheme.IOB2).overall
    Counts(correct=1, predicted=2, gold=1)
    """
    scorer = Scorer(scheme, mode=mode)
    for gold, predicted in pairs:
        scorer.add(gold, predicted)
    return scorer.scores()


class Scorer:
    """Counts sentence by sentence. `scores()` may be called at any time."""

    def __init__(self, scheme: Scheme, *, mode: Mode = "conlleval") -> None:
        self.scheme = scheme
        self.mode = mode
        self._n_sentences = 0
        self._label_ids: dict[str, int] = _Numbering()
        self._type_ids: dict[str, int] = _Numbering()
        self._rows: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)
        self._words = np.zeros(4, np.int64)
        self._lenient: dict[str, Counts] = {}
        self._surface: list[set[tuple[int, tuple[str, ...]]]] | None = None
        self._leaks: LeakCounter | None = None
        self._forget_buffer()

    def add(
        self,
        gold: Sequence[str],
        predicted: Sequence[str],
        words: Sequence[str] | None = None,
        origin: Origin | None = None,
    ) -> None:
        """Count one sentence.

        words: needed for surface forms and covered characters; give them for every sentence or for none. origin: of the
        sentence, to name the places of spans that are not covered.
        """
        if len(gold) != len(predicted):
            raise UserError(
                f"Sentence {self._n_sentences + len(self._gold) + 1} has {counted(len(gold), 'gold label')}"
                f" but {counted(len(predicted), 'predicted label')}.",
                hint="Predictions and gold labels must be of the same words.",
            )
        self._gold.append(gold)
        self._predicted.append(predicted)
        if words is not None:
            self._sentences.append(words)
            self._origins.append(origin)
        self._n_buffered += len(gold)
        if self._n_buffered >= _WORDS_AT_ONCE:
            self._count_buffer()

    def scores(self) -> Scores:
        """Scores of all sentences added so far."""
        if self._gold:
            self._count_buffer()
        kinds = MODES if self.scheme is not Scheme.NONE else ("words",)
        return Scores(
            scheme=self.scheme,
            mode=self.mode,
            tables={kind: self._table(kind) for kind in kinds},
            n_words=int(self._words[0]),
            n_right_words=int(self._words[1]),
            n_inside_words=int(self._words[2]),
            n_right_inside_words=int(self._words[3]),
            lenient=self._lenient,
            surface=None if self._surface is None else self._surface_counts(self._surface),
            leaks=self._leaks.result(tuple(self._type_ids), self._n_sentences) if self._leaks else None,
        )

    def _forget_buffer(self) -> None:
        self._gold: list[Sequence[str]] = []
        self._predicted: list[Sequence[str]] = []
        self._sentences: list[Sequence[str]] = []
        self._origins: list[Origin | None] = []
        self._n_buffered = 0

    def _count_buffer(self) -> None:
        gold_labels, predicted_labels = (
            np.fromiter(map(self._label_ids.__getitem__, chain.from_iterable(side)), np.int64, self._n_buffered)
            for side in (self._gold, self._predicted)
        )
        right = gold_labels == predicted_labels
        inside = gold_labels != self._label_ids[OUTSIDE_LABEL]
        self._words += [len(right), right.sum(), inside.sum(), (right & inside).sum()]
        lengths = np.fromiter(map(len, self._gold), np.int64, len(self._gold))
        if self.scheme is Scheme.NONE:
            self._count_words(gold_labels, predicted_labels, right, lengths)
        else:
            starts = np.cumsum(lengths) - lengths
            gold_spans, predicted_spans = (self._spans(side, starts) for side in (self._gold, self._predicted))
            for mode in MODES:
                self._count_spans(mode, starts, gold_spans[mode], predicted_spans[mode])
        self._n_sentences += len(self._gold)
        self._forget_buffer()

    def _count_words(self, gold: np.ndarray, predicted: np.ndarray, right: np.ndarray, lengths: np.ndarray) -> None:
        n_types = len(self._label_ids)
        sentence = np.repeat(np.arange(len(lengths)), lengths)
        gold, predicted = sentence * n_types + gold, sentence * n_types + predicted
        self._keep("words", *tally([gold[right], predicted, gold], n_types))

    def _count_spans(self, mode: Mode, starts: np.ndarray, gold: SpanArrays, predicted: SpanArrays) -> None:
        n_types = len(self._type_ids)

        def sentence_and_type(spans: SpanArrays) -> np.ndarray:
            sentence = np.searchsorted(starts, spans.start, side="right") - 1
            keys: np.ndarray = sentence * n_types + spans.type
            return keys

        # Gold spans never overlap each other, nor do predicted ones, so start, end and type identify a span.
        size = self._n_buffered + 1
        gold_keys, predicted_keys = (
            (spans.start * size + spans.end) * n_types + spans.type for spans in (gold, predicted)
        )
        correct = gold.keep(np.isin(gold_keys, predicted_keys))
        kinds = [sentence_and_type(spans) for spans in (correct, predicted, gold)]
        self._keep(mode, *tally(kinds, n_types))
        if mode == self.mode:
            for name, counts in lenient_counts(gold, predicted).items():
                self._lenient[name] = self._lenient.get(name, Counts()) + counts
            if self._sentences:
                self._add_surface_forms(correct, predicted, gold)
                self._add_leaks(gold, predicted)

    def _keep(self, kind: str, sentence: np.ndarray, type_: np.ndarray, counts: np.ndarray) -> None:
        self._rows[kind].append((sentence + self._n_sentences, type_, counts))

    def _spans(self, sentences: Sequence[Sequence[str]], starts: np.ndarray) -> dict[Mode, SpanArrays]:
        stretches = entity_reader(self.scheme).stretches
        flat: tuple[list[int], ...] = tuple([] for _ in MODES)  # start, end, type, start, end, type, ...
        for labels, at in zip(sentences, starts.tolist()):
            for first, by_mode in stretches(labels):
                first += at
                for rows, entities in zip(flat, by_mode):
                    for start, end, type_ in entities:
                        rows += (first + start, first + end, self._type_ids[type_])
        tables = (np.array(rows, np.int64).reshape(-1, 3) for rows in flat)
        return {mode: SpanArrays(*table.T) for mode, table in zip(MODES, tables)}

    def _add_surface_forms(self, *kinds: SpanArrays) -> None:
        words = list(chain.from_iterable(self._sentences))
        self._surface = self._surface or [set() for _ in kinds]
        for forms, spans in zip(self._surface, kinds):
            columns = (column.tolist() for column in (spans.start, spans.end, spans.type))
            forms.update((type_, tuple(words[start:end])) for start, end, type_ in zip(*columns))

    def _add_leaks(self, gold: SpanArrays, predicted: SpanArrays) -> None:
        self._leaks = self._leaks or LeakCounter()
        types = tuple(self._type_ids)
        before = self._n_sentences
        self._leaks.add(gold, predicted, self._sentences, types, origins=self._origins, n_before=before)

    def _surface_counts(self, surface: Sequence[set[tuple[int, tuple[str, ...]]]]) -> dict[str, Counts]:
        names = list(self._type_ids)
        counts = np.zeros((len(names), 3), np.int64)
        for kind, forms in enumerate(surface):
            for type_, _ in forms:
                counts[type_, kind] += 1
        return {name: Counts(*row) for name, row in sorted(zip(names, counts.tolist())) if any(row)}

    def _table(self, kind: str) -> CountTable:
        rows = self._rows[kind]
        names = self._label_ids if kind == "words" else self._type_ids
        sentence, type_ = (np.concatenate([row[i] for row in rows]) if rows else np.zeros(0, np.int64) for i in (0, 1))
        counts = np.concatenate([row[2] for row in rows]) if rows else np.zeros((0, 3), np.int32)
        return CountTable(tuple(names), self._n_sentences, sentence, type_, counts)


class _Numbering(dict[str, int]):
    """Gives each new name the next number."""

    def __missing__(self, name: str) -> int:
        number = self[name] = len(self)
        return number
