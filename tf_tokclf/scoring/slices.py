"""Scores of slices of the data, and the slices that are significantly worse than the rest.

A slice is a part of the sentences (by their length, or by the value of a column) or of the spans (by whether their
words occur as a span in the training data).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.columns import ColumnValues
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Span
from tf_tokclf.scoring.bootstrap import LEVEL, Interval, ScoreName, holm, p_value_of_worse, score_intervals
from tf_tokclf.scoring.counts import Counts, CountTable
from tf_tokclf.scoring.entities import Mode, entities_of
from tf_tokclf.scoring.error_analysis import SENTENCE_LENGTHS, Training, bucket, familiarity, part_order
from tf_tokclf.scoring.predictions import Prediction, gold_of
from tf_tokclf.scoring.scores import numbers

# Columns that say which domain a sentence is from, by descending preference.
DOMAIN_COLUMNS = ("domain", "genre", "topic", "category", "source")
# A column with more values is not a division into slices, but a name of each sentence.
MOST_SLICES = 50
NO_VALUE = "(no value)"

# The slice of a sentence, or of one of its spans.
PartOfSentence = Callable[[Prediction], str]
PartOfSpan = Callable[[Prediction, Span], str]


@dataclass(frozen=True)
class SliceTest:
    """A slice compared with the rest of the data. difference: F1 of the slice minus F1 of the rest.

    p_value: one-sided, for a slice that is worse. corrected: after Holm's correction for all slices.
    """

    difference: float
    p_value: float
    corrected: float

    @property
    def is_worse(self) -> bool:
        """Whether the slice is significantly worse than the rest."""
        return self.corrected < 1 - LEVEL


@dataclass(frozen=True, eq=False)
class Slices:
    """Counts by slice. tables: by the name of the division; the types of a table are the slices.

    n_sentences: for divisions of sentences, the number of sentences of each slice, also of those without spans.
    """

    tables: Mapping[str, CountTable]
    n_sentences: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def parts(self, name: str) -> dict[str, Counts]:
        """The counts of each slice in the order in which they are shown."""
        counts = {**dict.fromkeys(self.n_sentences.get(name, ()), Counts()), **self.tables[name].by_type}
        return dict(sorted(counts.items(), key=part_order))

    @cached_property
    def intervals(self) -> dict[str, dict[ScoreName, dict[str, Interval]]]:
        """95 % confidence intervals: division -> measure -> slice -> interval."""
        return {name: score_intervals(table) for name, table in self.tables.items()}

    @cached_property
    def tests(self) -> dict[tuple[str, str], SliceTest]:
        """The test of each (division, slice). There is none for a slice without spans, or if it is the whole."""
        found = {}
        for name, table in self.tables.items():
            whole = table.of_sentences()
            for part in table.by_type:
                own = table.of_sentences(part)
                pair = np.stack([own, whole - own], axis=1)
                p_value = p_value_of_worse(pair)
                if p_value is not None:
                    of_part, of_rest = (Counts(*row.tolist()).f1 for row in pair.sum(axis=0))
                    found[name, part] = (of_part - of_rest, p_value)
        corrected = holm([p_value for _, p_value in found.values()])
        return {key: SliceTest(*values, after) for (key, values), after in zip(found.items(), corrected)}

    @property
    def worse(self) -> list[tuple[str, str]]:
        """The slices that are significantly worse than the rest, the largest difference first."""
        worse = [key for key, test in self.tests.items() if test.is_worse]
        return sorted(worse, key=lambda key: self.tests[key].difference)

    def to_json(self) -> dict[str, Any]:
        """Division -> slice -> scores, intervals and the test."""
        return {name: {part: self._part_json(name, part) for part in self.parts(name)} for name in self.tables}

    def _part_json(self, name: str, part: str) -> dict[str, Any]:
        intervals = {
            f"{measure}_interval": list(by_part[part])
            for measure, by_part in self.intervals[name].items()
            if part in by_part
        }
        n = self.n_sentences.get(name, {}).get(part)
        sentences = {} if n is None else {"n_sentences": n}
        test = self.tests.get((name, part))
        compared = {"difference": test.difference, "p": test.p_value, "corrected_p": test.corrected} if test else {}
        return {**numbers(self.parts(name)[part]), **sentences, **intervals, **compared}


@dataclass
class SliceCounter:
    """Counts the spans of each slice, sentence by sentence. `result()` may be called at any time.

    sentence_parts, span_parts: the divisions by name.
    """

    scheme: Scheme
    mode: Mode
    sentence_parts: Mapping[str, PartOfSentence]
    span_parts: Mapping[str, PartOfSpan] = field(default_factory=dict)
    _n: int = 0
    _rows: dict[str, dict[tuple[int, str], list[int]]] = field(default_factory=lambda: defaultdict(dict))
    _n_sentences: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, prediction: Prediction) -> None:
        """Add a sentence with gold labels."""
        gold, predicted = (
            set(entities_of(labels, self.scheme, self.mode)) for labels in (gold_of(prediction), prediction.predicted)
        )
        sides = (gold & predicted, predicted, gold)
        for name, of_sentence in self.sentence_parts.items():
            part = of_sentence(prediction)
            self._n_sentences[name][part] += 1
            if len(self._n_sentences[name]) > MOST_SLICES:
                problem = f"--by {name}: there are more than {counted(MOST_SLICES, 'different value')}."
                raise UserError(problem, hint="Choose a column with few values, such as a domain or a source.")
            if gold or predicted:
                self._rows[name][self._n, part] = [len(side) for side in sides]
        for name, of_span in self.span_parts.items():
            for i, side in enumerate(sides):
                for span in side:
                    self._rows[name].setdefault((self._n, of_span(prediction, span)), [0, 0, 0])[i] += 1
        self._n += 1

    def result(self) -> Slices:
        """The slices of the sentences added so far."""
        names = (*self.sentence_parts, *self.span_parts)
        return Slices({name: self._table(self._rows[name]) for name in names}, dict(self._n_sentences))

    def _table(self, rows: Mapping[tuple[int, str], Sequence[int]]) -> CountTable:
        parts = list(dict.fromkeys(part for _, part in rows))
        number = {part: i for i, part in enumerate(parts)}
        sentence = np.array([sentence for sentence, _ in rows], np.int64)
        type_ = np.array([number[part] for _, part in rows], np.int64)
        return CountTable(tuple(parts), self._n, sentence, type_, np.array([*rows.values()], np.int64).reshape(-1, 3))


def slice_counter(
    names: Sequence[str],
    scheme: Scheme,
    mode: Mode,
    *,
    data: DataConfig,
    task: Task,
    training: Training | None = None,
    places: Sequence[str] = (),
) -> SliceCounter:
    """The counter for divisions by name: `length`, `seen`, `domain`, or a column of the labelled file.

    data: how the file is read. training: the spans of the training data, for `seen`. Raises UserError without them.
    places: all files with labelled sentences, if they are known.
    """
    sentence_parts: dict[str, PartOfSentence] = {}
    span_parts: dict[str, PartOfSpan] = {}
    for name in dict.fromkeys(names):
        if name == "length":
            sentence_parts[name] = lambda prediction: bucket(len(prediction.words), SENTENCE_LENGTHS)
        elif name == "seen":
            span_parts[name] = _seen_part(training)
        elif name == "domain":
            sentence_parts[name] = _domain_part(data, task)
        else:
            sentence_parts[name] = _column_part(ColumnValues((name,), data, task, places=places))
    return SliceCounter(scheme, mode, sentence_parts, span_parts)


def _seen_part(training: Training | None) -> PartOfSpan:
    if training is None:
        hint = "Evaluate a run, or name the training data with --set data.train_file=FILE."
        raise UserError("--by seen compares spans with those in the training data, which is unknown.", hint=hint)
    return lambda prediction, span: familiarity(prediction, span, training)


def _column_part(values: ColumnValues) -> PartOfSentence:
    return lambda prediction: values.of(prediction.origin) or NO_VALUE


def _domain_part(data: DataConfig, task: Task) -> PartOfSentence:
    """By a column for domains, or else by file."""
    values, without_column = ColumnValues(DOMAIN_COLUMNS, data, task), set[str]()

    def part(prediction: Prediction) -> str:
        path = prediction.origin.path if prediction.origin else ""
        if path not in without_column:
            try:
                return values.of(prediction.origin) or NO_VALUE
            except UserError:
                without_column.add(path)
        return Path(path).name or NO_VALUE

    return part
