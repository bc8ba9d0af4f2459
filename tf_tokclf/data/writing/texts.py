"""Write sentences as texts with character spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tf_tokclf.data.writing.base import Writing
from tf_tokclf.labels.char_spans import CharSpan, char_spans, in_unit
from tf_tokclf.labels.sentence import Sentence, text_of


def texts_with_spans(sentences: Iterable[Sentence], writing: Writing) -> Iterator[tuple[str, list[CharSpan], Sentence]]:
    """Each sentence as a text with its spans, in the unit of the output."""
    for sentence in sentences:
        text, offsets = text_of(sentence)
        unit = writing.offset_unit
        spans = [
            CharSpan(in_unit(s.start, text, unit), in_unit(s.end, text, unit), s.type, s.surface)
            for s in char_spans(writing.spans(sentence), text, offsets)
        ]
        yield text, spans, sentence


def offset_unit_of(writing: Writing) -> dict[str, str]:
    """The field `offset_unit`, for records whose unit is not code points."""
    return {} if writing.offset_unit == "codepoint" else {"offset_unit": writing.offset_unit}
