"""LUIS: utterances with entities, with inclusive ends.

{"text": "book a flight to Oslo", "intent": "Book", "entities": [{"entity": "City", "startPos": 17, "endPos": 20}]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record, SpanReader
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.text_records import text_in
from tf_tokclf.data.reading.word_records import mappings
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin

_NAMES = (("startPos", "endPos", "entity"), ("startCharIndex", "endCharIndex", "entityName"))
_LISTS = ("entities", "entityLabels")


def _fits(record: Record) -> bool:
    values = (record.get(name) for name in _LISTS)
    entities = [one for value in values if isinstance(value, list) for one in value]
    return isinstance(record.get("text"), str) and bool(entities) and all(_names(one) for one in entities)


def _names(entity: Any) -> tuple[str, str, str] | None:
    """The names of the fields for start, end and type in an entity."""
    if not isinstance(entity, Mapping):
        return None
    return next((names for names in _NAMES if {names[0], names[1]} <= entity.keys()), None)


def unwrap(value: Any) -> list[Any] | None:
    """The utterances of an application."""
    if isinstance(value, dict) and isinstance(value.get("utterances"), list):
        return list(value["utterances"])
    return None


def _fields(names: Any) -> Fields:
    return Fields("text", next((name for name in _LISTS if name in names), _LISTS[0]))


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    entities = record.get(fields.label) if fields.label is not None else None
    annotations = () if entities is None else (Annotation(partial(_spans, entities)),)
    yield Annotated(text_in(record, fields.word, origin), annotations=annotations, is_labelled=fields.label is not None)


def _spans(entities: Any, reader: SpanReader) -> list[CharSpan]:
    found = []
    for entity in mappings(entities, reader.origin):
        names = _names(entity)
        start, end, type = (entity.get(name) for name in names) if names else (None, None, None)
        if isinstance(start, int) and isinstance(end, int) and isinstance(type, str):
            found.append(CharSpan(start, end, type))
        else:
            error = reader.origin.error(f"{str(entity)[:80]!r} is not an entity.", "It needs positions and a name.")
            reader.drop(error, "spans dropped: no start and end")
    return found


FORMAT = JsonFormat(
    "luis",
    _fits,
    _read,
    _fields,
    unwrap=unwrap,
    inclusive_end=True,
    description="LUIS: utterances with character spans",
)
