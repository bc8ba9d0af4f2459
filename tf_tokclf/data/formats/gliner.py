"""GLiNER's training data: words, and spans of words with inclusive ends.

{"tokenized_text": ["Marie", "Curie", "left"], "ner": [[0, 1, "person"]]}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tf_tokclf.data.reading.annotated import Annotated, Fields, JsonFormat, Record, in_fields
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.word_records import is_words, triples, words_with_spans
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.sentence import Origin, Sentence


def _fits(record: Record) -> bool:
    return is_words(record.get("tokenized_text"))


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    yield words_with_spans(record, fields, origin, triples)


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One record per line."""
    for sentence in sentences:
        spans = [[span.start, span.end - 1, span.type] for span in writing.spans(sentence)]
        yield json_line({"tokenized_text": sentence.words, "ner": spans})


FORMAT = JsonFormat(
    "gliner",
    _fits,
    _read,
    in_fields("tokenized_text", "ner"),
    inclusive_end=True,
    has_words=True,
    description="GLiNER: words with spans of words, inclusive ends",
    write=write,
)
