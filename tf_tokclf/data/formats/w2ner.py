"""W2NER: words, and entities with the numbers of all their words.

{"sentence": ["Marie", "Curie", "left"], "ner": [{"index": [0, 1], "type": "PER"}]}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Fields, JsonFormat, Record, WordSpan, in_fields
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.word_records import is_words, mappings, words_with_spans
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.labels.sentence import Origin, Sentence

_DISCONTINUOUS = "spans with gaps read from their first to their last word"


def _fits(record: Record) -> bool:
    ner = record.get("ner")
    return (
        is_words(record.get("sentence"))
        and isinstance(ner, list)
        and all(isinstance(entity, dict) and isinstance(entity.get("index"), list) for entity in ner)
    )


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    yield words_with_spans(record, fields, origin, lambda ner, origin: _spans(ner, origin, changes))


def _spans(ner: Any, origin: Origin, changes: Changes) -> Iterator[WordSpan]:
    for entity in mappings(ner, origin):
        index, type = entity.get("index"), entity.get("type")
        index = index if isinstance(index, list) and all(isinstance(number, int) for number in index) else None
        if not index or not isinstance(type, str):
            raise origin.error(f"{str(entity)[:60]!r} is not an entity.", "It needs an index and a type.")
        if max(index) - min(index) + 1 != len(index):
            changes.note(_DISCONTINUOUS, origin)
        yield min(index), max(index), type


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One JSON list."""
    opening = "[\n"
    for sentence in sentences:
        ner = [{"index": list(range(s.start, s.end)), "type": s.type} for s in writing.spans(sentence)]
        yield opening + json.dumps({"sentence": sentence.words, "ner": ner}, ensure_ascii=False)
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


FORMAT = JsonFormat(
    "w2ner",
    _fits,
    _read,
    in_fields("sentence", "ner"),
    inclusive_end=True,
    has_words=True,
    description="W2NER: words, and entities with the numbers of their words",
    write=write,
)
