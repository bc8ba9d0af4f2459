"""The same words in the same surroundings, labelled differently: most likely somebody's mistake.

These are the variation nuclei of Dickinson and Meurers (2003): a form whose labels vary while the words
around it do not. That a form alone varies ("Washington") says little; language is ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from tf_tokclf.data.coding import CodedSplit, RunHashes
from tf_tokclf.data.labels import LabelSet
from tf_tokclf.data.schemes import OUTSIDE_LABEL, Scheme, span_table

# What is looked at, from each split's start: the arrays for more would not fit beside a large data set.
MAX_WORDS = 10_000_000
_LONGEST_FORM = 6


@dataclass(frozen=True)
class Occurrence:
    """Where a form stands: the split's number, the flat positions of its words, and what it is labelled."""

    split: int
    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Variation:
    """A form that has several labels in equal surroundings: its places, those of one context in a row."""

    occurrences: tuple[Occurrence, ...]


@dataclass(frozen=True)
class _Table:
    """Occurrences as parallel arrays; `form` and `context` are hashes, `label` is from `_LabelReading`."""

    context: np.ndarray
    form: np.ndarray
    label: np.ndarray
    split: np.ndarray
    start: np.ndarray
    length: np.ndarray


def find_variations(splits: Sequence[CodedSplit], labels: LabelSet, *, n_around: int) -> list[Variation]:
    """Forms that vary with the `n_around` words on both sides being the same, most frequent first.

    Repeated sentences count once: that they are labelled differently is another finding.
    """
    forms = _forms(splits, labels)
    parts = [
        part
        for number, (split, fresh) in enumerate(zip(splits, _first_of_each_sentence(splits)))
        for part in _occurrences(number, split, fresh, labels, forms, n_around)
    ]
    table = _Table(*(np.concatenate([vars(part)[f.name] for part in parts]) for f in fields(_Table)))
    return _varying(table, labels) if len(table.context) else []


def _first_of_each_sentence(splits: Sequence[CodedSplit]) -> list[np.ndarray]:
    """(sentences,) bool for each split: no sentence before, earlier splits included, has the same words."""
    hashes = np.concatenate([split.sentence_hashes() for split in splits])
    first = np.zeros(len(hashes), bool)
    first[np.unique(hashes, return_index=True)[1]] = True
    return np.split(first, np.cumsum([split.n_sentences for split in splits])[:-1])


def _forms(splits: Sequence[CodedSplit], labels: LabelSet) -> dict[int, np.ndarray]:
    """The hashes of all spans' words, sorted, by the number of words; nothing where there are no spans."""
    found: dict[int, list[np.ndarray]] = {}
    for split in splits:
        for first, last in _chunks(split):
            begin, end = split.starts[first], split.starts[last]
            hashes = RunHashes(split.words[begin:end])
            spans = span_table(
                split.labels[begin:end], split.starts[first:last] - begin, labels.names, labels.scheme
            )
            lengths = spans.ends - spans.starts
            for length in range(1, _LONGEST_FORM + 1):
                of_length = lengths == length
                found.setdefault(length, []).append(hashes.of(spans.starts[of_length], spans.ends[of_length]))
    return {length: np.unique(np.concatenate(parts)) for length, parts in found.items()}


def _chunks(split: CodedSplit) -> Iterator[tuple[int, int]]:
    return ((first, last) for first, last in split.chunks() if split.starts[first] < MAX_WORDS)


def _occurrences(
    number: int,
    split: CodedSplit,
    fresh: np.ndarray,
    labels: LabelSet,
    forms: dict[int, np.ndarray],
    n_around: int,
) -> Iterator[_Table]:
    for first, last in _chunks(split):
        begin, end = split.starts[first], split.starts[last]
        bounds = split.starts[first : last + 1] - begin
        lengths = np.diff(bounds)
        hashes = RunHashes(split.words[begin:end])
        before = np.arange(end - begin) - np.repeat(bounds[:-1], lengths)
        behind = np.repeat(bounds[1:], lengths) - np.arange(end - begin)
        usable = np.repeat(fresh[first:last], lengths) & (before >= n_around)
        reading = _LabelReading(split.labels[begin:end], bounds[:-1], labels)
        for length in forms if labels.scheme is not Scheme.NONE else (1,):
            starts = np.flatnonzero(usable & (behind >= length + n_around))
            form = hashes.of(starts, starts + length)
            if labels.scheme is not Scheme.NONE:
                known = np.isin(form, forms[length])
                starts, form = starts[known], form[known]
            label = reading.of(starts, length)
            clear = label >= 0
            starts, form, label = starts[clear], form[clear], label[clear]
            yield _Table(
                context=hashes.of(starts - n_around, starts + length + n_around) + np.uint64(length),
                form=form,
                label=label,
                split=np.full(len(starts), number),
                start=starts + begin,
                length=np.full(len(starts), length),
            )


class _LabelReading:
    """What runs of words are labelled as a whole."""

    def __init__(self, ids: np.ndarray, starts: np.ndarray, labels: LabelSet) -> None:
        self._ids, self._plain = ids, labels.scheme is Scheme.NONE
        if self._plain:
            return
        spans = span_table(ids, starts, labels.names, labels.scheme)
        self._end = np.full(len(ids), -1)
        self._end[spans.starts] = spans.ends
        self._type = np.zeros(len(ids), np.int64)
        self._type[spans.starts] = spans.type_ids + 1
        inside = np.zeros(len(ids) + 1, np.int64)
        np.add.at(inside, spans.starts, 1)
        np.add.at(inside, spans.ends, -1)
        self._n_inside = np.concatenate([[0], np.cumsum(inside[:-1].cumsum())])

    def of(self, starts: np.ndarray, length: int) -> np.ndarray:
        """A type's number (from 1) for a whole span, 0 where all words are outside, -1 for anything else."""
        if self._plain:
            return self._ids[starts].astype(np.int64)
        outside = self._n_inside[starts + length] == self._n_inside[starts]
        return np.where(self._end[starts] == starts + length, self._type[starts], np.where(outside, 0, -1))


def _varying(table: _Table, labels: LabelSet) -> list[Variation]:
    """Contexts in which one form has several labels, joined by form."""
    order = np.lexsort((table.label, table.context))
    context, label = table.context[order], table.label[order]
    new_context = np.concatenate([[True], context[1:] != context[:-1]])
    new_label = new_context | np.concatenate([[True], label[1:] != label[:-1]])
    group = np.cumsum(new_context) - 1
    varies = np.bincount(group, weights=new_label)[group] > 1
    names = labels.names if labels.scheme is Scheme.NONE else (OUTSIDE_LABEL, *_types(labels))
    by_form: dict[int, list[int]] = {}
    for row in order[varies]:
        by_form.setdefault(int(table.form[row]), []).append(int(row))
    variations = []
    for rows in by_form.values():
        places = tuple(
            Occurrence(
                int(table.split[row]),
                int(table.start[row]),
                int(table.start[row] + table.length[row]),
                names[int(table.label[row])],
            )
            for row in rows
        )
        variations.append(Variation(places))
    return sorted(variations, key=lambda variation: -len(variation.occurrences))


def _types(labels: LabelSet) -> tuple[str, ...]:
    """The types in the order of the indices that `span_table` gives them."""
    none = np.empty(0, np.int64)
    return span_table(none, none, labels.names, labels.scheme).types
