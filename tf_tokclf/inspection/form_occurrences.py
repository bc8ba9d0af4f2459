"""Where else the words of a span occur, and how they are labelled there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tf_tokclf.labels.schemes import OUTSIDE_LABEL
from tf_tokclf.labels.sentence import Sentence, Span

Form = tuple[str, ...]


@dataclass(frozen=True)
class FormOccurrence:
    """An occurrence of a form.

    sentence: its index. start: the first word. label: the type if the words are a span, O if all of them are outside of
    spans, otherwise `part of TYPE` with the type of the first span.
    """

    sentence: int
    start: int
    label: str


@dataclass(frozen=True)
class Elsewhere:
    """The other occurrences of a form.

    counts: their number by label, the most frequent first. places: the first ones of each label.
    """

    counts: Mapping[str, int]
    places: tuple[FormOccurrence, ...]

    @property
    def total(self) -> int:
        """The number of other occurrences."""
        return sum(self.counts.values())


class FormIndex:
    """All occurrences of some forms (sequences of words, compared with their case)."""

    def __init__(self, sentences: Iterable[tuple[Sentence, Sequence[Span]]], forms: Iterable[Form]) -> None:
        """sentences: each with its spans, in order."""
        lengths_by_word: defaultdict[str, set[int]] = defaultdict(set)
        wanted = set(forms)
        for form in wanted:
            lengths_by_word[form[0]].add(len(form))
        self._found: defaultdict[Form, list[FormOccurrence]] = defaultdict(list)
        for index, (sentence, spans) in enumerate(sentences):
            words = sentence.words
            for start, word in enumerate(words):
                for length in lengths_by_word.get(word, ()):
                    form = words[start : start + length]
                    # At the end of a sentence, there may be fewer words.
                    if len(form) == length and form in wanted:
                        label = _label(start, start + length, spans)
                        self._found[form].append(FormOccurrence(index, start, label))

    def elsewhere(self, form: Form, sentence: int, start: int, *, n_places: int = 3) -> Elsewhere:
        """The occurrences of a form except the one at `start` of `sentence`.

        n_places: number of places to list for each label.
        """
        others = [one for one in self._found.get(form, ()) if (one.sentence, one.start) != (sentence, start)]
        counts = Counter(one.label for one in others)
        ranked = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        return Elsewhere(ranked, tuple(_first_of_each(others, ranked, n_places)))


def _first_of_each(
    occurrences: Sequence[FormOccurrence], labels: Iterable[str], n_places: int
) -> Iterator[FormOccurrence]:
    for label in labels:
        yield from [one for one in occurrences if one.label == label][:n_places]


def _label(start: int, end: int, spans: Sequence[Span]) -> str:
    """
    >>> [_label(start, end, [Span(1, 3, "LOC")]) for start, end in ((0, 1), (1, 3), (2, 3))]
    ['O', 'LOC', 'part of LOC']
    """
    for span in spans:
        if (span.start, span.end) == (start, end):
            return span.type
        if span.start < end and start < span.end:
            return f"part of {span.type}"
    return OUTSIDE_LABEL
