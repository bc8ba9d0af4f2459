"""SpERT: words, and entities as ranges of word numbers with exclusive ends.

{"tokens": ["Marie", "Curie", "left"], "entities": [{"type": "PER", "start": 0, "end": 2}], "relations": []}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Fields, JsonFormat, Record, in_fields
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.word_records import is_words, named, words_with_spans
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.labels.sentence import Origin, Sentence


def _fits(record: Record) -> bool:
    return is_words(record.get("tokens")) and _is_entities(record.get("entities"))


def _is_entities(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and {"start", "end"} <= one.keys() for one in value)


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    yield words_with_spans(record, fields, origin, named)


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One JSON list."""
    opening = "[\n"
    for sentence in sentences:
        entities = [{"type": span.type, "start": span.start, "end": span.end} for span in writing.spans(sentence)]
        record = {"tokens": sentence.words, "entities": entities, "relations": []}
        yield opening + json.dumps(record, ensure_ascii=False)
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


FORMAT = JsonFormat(
    "spert",
    _fits,
    _read,
    in_fields("tokens", "entities"),
    has_words=True,
    description="SpERT: words with spans of words, exclusive ends",
    write=write,
)
