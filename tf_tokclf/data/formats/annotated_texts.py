"""Sentences as texts with spans of characters, for formats that have those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tf_tokclf.data.formats.writing import Writing
from tf_tokclf.labels.char_spans import CharSpan, char_spans, in_unit
from tf_tokclf.labels.sentence import Sentence, text_of


def annotated(sentences: Iterable[Sentence], writing: Writing) -> Iterator[tuple[str, list[CharSpan], Sentence]]:
    """Texts with their spans, counted in the unit that is written."""
    for sentence in sentences:
        text, offsets = text_of(sentence)
        unit = writing.offset_unit
        spans = [
            CharSpan(in_unit(s.start, text, unit), in_unit(s.end, text, unit), s.type, s.surface)
            for s in char_spans(writing.spans(sentence), text, offsets)
        ]
        yield text, spans, sentence
