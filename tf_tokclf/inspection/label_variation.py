"""Find forms (the words of a span; without a scheme, single words) that are labelled in several ways.

Many forms ("Washington") have several labels because language is ambiguous. Different labels in the same context are
probably mistakes: these are the variation nuclei of Dickinson and Meurers (2003).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from tf_tokclf.inspection.hashed_split import HashedSplit, RunHashes
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, Scheme
from tf_tokclf.labels.spans import span_table

# The number of words, from the start of each split, that are examined. This limits the memory for large data sets.
MAX_WORDS = 20_000_000
MAX_LISTED_WORDS = 2_000_000
_LONGEST_FORM = 6


@dataclass(frozen=True)
class Occurrence:
    """One occurrence of a form: the number of the split, the flat positions of its words, and its label."""

    split: int
    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Variation:
    """A form with several labels in the same context. Occurrences with the same context are adjacent."""

    occurrences: tuple[Occurrence, ...]


@dataclass(frozen=True)
class Form:
    """A form with several types: the count of each type, and one occurrence."""

    types: dict[str, int]
    place: Occurrence


@dataclass(frozen=True)
class _Table:
    """Occurrences as parallel arrays; `form` and `context` are hashes, `label` is from `_LabelReading`."""

    context: np.ndarray
    form: np.ndarray
    label: np.ndarray
    split: np.ndarray
    start: np.ndarray
    length: np.ndarray

    def rows(self, chosen: np.ndarray) -> _Table:
        return _Table(*(vars(self)[f.name][chosen] for f in fields(self)))

    def place(self, row: int, names: Sequence[str]) -> Occurrence:
        start = int(self.start[row])
        return Occurrence(int(self.split[row]), start, start + int(self.length[row]), names[int(self.label[row])])


def find_variations(splits: Sequence[HashedSplit], labels: LabelSet, *, n_around: int) -> list[Variation]:
    """Forms with several labels although the `n_around` words on both sides are equal, the most frequent first.

    Repeated sentences count once, because different labels for whole sentences are reported by another check.
    """
    forms = _forms(splits, labels)
    fresh = _first_of_each_sentence(splits)

    def occurrences() -> Iterator[_Table]:
        for number, split in enumerate(splits):
            yield from _occurrences(number, split, fresh[number], labels, forms, n_around)

    # Nearly all contexts occur only once. Their hashes are enough to find the others.
    contexts = np.concatenate([part.context for part in occurrences()])
    contexts.sort()
    again = np.unique(contexts[1:][contexts[1:] == contexts[:-1]])
    del contexts
    table = _joined([part.rows(np.isin(part.context, again)) for part in occurrences()])
    return _varying(table, labels) if len(again) else []


def ambiguous_forms(splits: Sequence[HashedSplit], labels: LabelSet, *, limit: int = 10) -> list[Form]:
    """The most frequent forms with more than one type."""
    table = _joined(
        [part for number, split in enumerate(splits) for part in _labelled(number, split, labels, MAX_LISTED_WORDS)]
    )
    if not len(table.form):
        return []
    order = np.lexsort((table.label, table.form))
    form, label = table.form[order], table.label[order]
    new_form = np.concatenate([[True], form[1:] != form[:-1]])
    new_label = new_form | np.concatenate([[True], label[1:] != label[:-1]])
    group = np.cumsum(new_form) - 1
    firsts = np.flatnonzero(new_form)
    ends = np.append(firsts[1:], len(form))
    several = np.flatnonzero(np.bincount(group, weights=new_label) > 1)
    # Equally frequent forms are sorted by their first occurrence.
    several = several[np.lexsort((np.minimum.reduceat(order, firsts)[several], firsts[several] - ends[several]))]
    names = _names(labels)
    found = []
    for i in several[:limit].tolist():
        rows = order[firsts[i] : ends[i]]
        numbers, counts = np.unique(table.label[rows], return_counts=True)
        by_count = sorted(zip(counts.tolist(), numbers.tolist()), reverse=True)
        found.append(Form({names[number]: n for n, number in by_count}, table.place(int(rows.min()), names)))
    return found


def _first_of_each_sentence(splits: Sequence[HashedSplit]) -> list[np.ndarray]:
    """(sentences,) bool for each split: True if no earlier sentence of any split has the same words."""
    hashes = np.concatenate([split.sentence_hashes() for split in splits])
    first = np.zeros(len(hashes), bool)
    first[np.unique(hashes, return_index=True)[1]] = True
    return np.split(first, np.cumsum([split.n_sentences for split in splits])[:-1])


def _joined(parts: Sequence[_Table]) -> _Table:
    return _Table(*(np.concatenate([vars(part)[f.name] for part in parts]) for f in fields(_Table)))


def _labelled(number: int, split: HashedSplit, labels: LabelSet, max_words: int) -> Iterator[_Table]:
    """All spans, or all words for labels without a scheme. The contexts are not computed (0)."""
    for first, last in _chunks(split, max_words):
        begin, end = split.starts[first], split.starts[last]
        hashes = RunHashes(split.words[begin:end])
        if labels.scheme is Scheme.NONE:
            starts = np.arange(end - begin)
            ends, label = starts + 1, split.labels[begin:end].astype(np.int64)
        else:
            spans = span_table(split.labels[begin:end], split.starts[first:last] - begin, labels.names, labels.scheme)
            starts, ends, label = spans.starts, spans.ends, spans.type_ids + 1
        yield _Table(
            context=np.zeros(len(starts), np.uint64),
            form=hashes.of(starts, ends),
            label=label,
            split=np.full(len(starts), number),
            start=starts + begin,
            length=ends - starts,
        )


def _forms(splits: Sequence[HashedSplit], labels: LabelSet) -> dict[int, np.ndarray]:
    """The sorted hashes of the words of all spans, by number of words, up to the longest form."""
    found: dict[int, list[np.ndarray]] = {length: [] for length in range(1, _LONGEST_FORM + 1)}
    for split in splits:
        for spans in _labelled(0, split, labels, MAX_WORDS):
            for length, forms in found.items():
                forms.append(np.unique(spans.form[spans.length == length]))
    return {length: np.unique(np.concatenate(parts)) for length, parts in found.items() if parts}


def _chunks(split: HashedSplit, max_words: int) -> Iterator[tuple[int, int]]:
    return ((first, last) for first, last in split.chunks() if split.starts[first] < max_words)


def _occurrences(
    number: int,
    split: HashedSplit,
    fresh: np.ndarray,
    labels: LabelSet,
    forms: dict[int, np.ndarray],
    n_around: int,
) -> Iterator[_Table]:
    for first, last in _chunks(split, MAX_WORDS):
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
    """The labels of ranges of words."""

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
        """The number of the type (from 1) if the range is a span, 0 if all words are outside spans, else -1."""
        if self._plain:
            return self._ids.take(starts).astype(np.int64)
        outside = self._n_inside[starts + length] == self._n_inside[starts]
        return np.where(self._end[starts] == starts + length, self._type[starts], np.where(outside, 0, -1))


def _varying(table: _Table, labels: LabelSet) -> list[Variation]:
    """Contexts in which a form has several labels, grouped by form."""
    order = np.lexsort((table.label, table.context))
    context, label = table.context[order], table.label[order]
    new_context = np.concatenate([[True], context[1:] != context[:-1]])
    new_label = new_context | np.concatenate([[True], label[1:] != label[:-1]])
    group = np.cumsum(new_context) - 1
    varies = np.bincount(group, weights=new_label)[group] > 1
    names = _names(labels)
    by_form: dict[int, list[int]] = {}
    for row in order[varies].tolist():
        by_form.setdefault(int(table.form[row]), []).append(row)
    found = [Variation(tuple(table.place(row, names) for row in rows)) for rows in by_form.values()]
    # Equally frequent forms are sorted by position, so that the order does not depend on the hashes.
    return sorted(found, key=lambda v: (-len(v.occurrences), min((o.split, o.start) for o in v.occurrences)))


def _names(labels: LabelSet) -> tuple[str, ...]:
    """The names for the numbers in a table's `label`."""
    if labels.scheme is Scheme.NONE:
        return labels.names
    none = np.empty(0, np.int64)
    return (OUTSIDE_LABEL, *span_table(none, none, labels.names, labels.scheme).types)
