"""Prodigy: texts with character spans, and the words as shown to the annotators.

{"text": "Marie left", "tokens": [{"text": "Marie", "start": 0, "end": 5, "id": 0}, ...],
 "spans": [{"start": 0, "end": 5, "token_start": 0, "token_end": 0, "label": "PER"}], "answer": "accept"}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tf_tokclf.data.reading.annotated import JsonFormat
from tf_tokclf.data.reading.text_records import TextFields, read_text_record
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.data.writing.texts import offset_unit_of, texts_with_spans
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.char_spans import in_unit
from tf_tokclf.labels.sentence import Sentence, text_of

_FIELDS = TextFields(("text",), ("spans",))


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """Prodigy's records: text, tokens with offsets, spans."""
    for text, spans, sentence in texts_with_spans(sentences, writing):
        whole, offsets = text_of(sentence)
        unit = writing.offset_unit
        tokens = [
            {
                "text": word,
                "start": in_unit(start, whole, unit),
                "end": in_unit(end, whole, unit),
                "id": i,
            }
            for i, (word, (start, end)) in enumerate(zip(sentence.words, offsets))
        ]
        marked = [
            {"start": s.start, "end": s.end, "token_start": w.start, "token_end": w.end - 1, "label": s.type}
            for s, w in zip(spans, writing.spans(sentence))
        ]
        yield json_line(
            {"text": text, "tokens": tokens, "spans": marked, "answer": "accept", **offset_unit_of(writing)}
        )


FORMAT = JsonFormat(
    "prodigy",
    _FIELDS.fit,
    read_text_record,
    _FIELDS.among,
    description="Prodigy: texts with spans and tokens",
    write=write,
)
