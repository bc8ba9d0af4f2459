"""BigBIO's knowledge-base schema: documents with passages, and entities with offsets relative to the document.

    {"id": "1", "document_id": "d1", "passages": [{"text": ["Marie left"], "offsets": [[0, 10]]}],
     "entities": [{"type": "PER", "text": ["Marie"], "offsets": [[0, 5]]}]}

Each passage is read as a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Fields, JsonFormat, Record, in_fields
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.passages import PIECES, Passage, annotated_passages
from tf_tokclf.data.reading.word_records import mappings
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin


def _fits(record: Record) -> bool:
    passages = record.get("passages")
    return isinstance(passages, list) and bool(passages) and all(_is_place(passage) for passage in passages)


def _is_place(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("offsets"), list) and "text" in value


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    passages = []
    for passage in mappings(record.get("passages"), origin):
        start, _, text, _ = _place(passage, origin)
        passages.append(Passage(start, text))
    entities = record.get("entities") if fields.label is not None else None
    spans = None if entities is None else list(_spans(entities, origin, changes))
    document = next((str(record[name]) for name in ("document_id", "id") if record.get(name)), None)
    yield from annotated_passages(passages, spans, document, changes, is_labelled=fields.label is not None)


def _spans(entities: Any, origin: Origin, changes: Changes) -> Iterator[CharSpan]:
    for entity in mappings(entities, origin):
        start, end, text, n = _place(entity, origin)
        if n > 1:
            changes.note(PIECES, origin)
        yield CharSpan(start, end, str(entity.get("type")), text if n == 1 else None)


def _place(value: Any, origin: Origin) -> tuple[int, int, str, int]:
    """Start, end, text and number of parts of a passage or an entity."""
    places, texts = value.get("offsets"), value.get("text")
    texts = [texts] if isinstance(texts, str) else texts
    fits = isinstance(places, list) and places and all(map(_is_pair_of_numbers, places))
    if not fits or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise origin.error(f"{str(value)[:60]!r} has no text or no offsets.", "Both fields are needed.")
    return places[0][0], places[-1][1], " ".join(texts), len(places)


def _is_pair_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(at) is int for at in value)


FORMAT = JsonFormat(
    "bigbio",
    _fits,
    _read,
    in_fields("passages", "entities"),
    holds_several=True,
    description="BigBIO's knowledge-base schema: documents of passages with entities",
)
