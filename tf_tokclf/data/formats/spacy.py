"""spaCy's training data: texts with entities, as records or as pairs.

    {"text": "Marie left", "entities": [[0, 5, "PER"]]}
    [["Marie left", {"entities": [[0, 5, "PER"]]}], ["Tom left", [[0, 3, "PER"]]]]
    {"classes": ["PER"], "annotations": [["Marie left", {"entities": [[0, 5, "PER"]]}], null]}

A pair is converted to a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tf_tokclf.data.reading.annotated import JsonFormat
from tf_tokclf.data.reading.text_records import TextFields, read_text_record
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.data.writing.texts import offset_unit_of, texts_with_spans
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.sentence import Sentence

_FIELDS = TextFields(("text",), ("entities", "ents"))


def is_pair(value: Any) -> bool:
    """Whether a value is a text and its entities, named or as a plain list.

    >>> is_pair(["Ada left", {"entities": []}]), is_pair(["Ada left", [[0, 3, "PER"]]]), is_pair(["Ada", "left"])
    (True, True, False)
    """
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        return False
    return isinstance(value[1], dict) or (isinstance(value[1], list) and all(map(_is_span, value[1])))


def _is_span(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 3 and isinstance(value[0], int)


def record_of(pair: list[Any]) -> dict[str, Any]:
    """Convert a pair to a record."""
    text, said = pair
    return {"text": text, **said} if isinstance(said, dict) else {"text": text, "entities": said}


def unwrap(value: Any) -> list[Any] | None:
    """The pairs in a file that also lists its classes. null there means a text without annotation."""
    if isinstance(value, dict) and isinstance(value.get("classes"), list):
        pairs = value.get("annotations")
        if isinstance(pairs, list) and all(pair is None or is_pair(pair) for pair in pairs):
            return pairs
    return None


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """spaCy's records: text, entities as [start, end, type]."""
    for text, spans, _ in texts_with_spans(sentences, writing):
        yield json_line(
            {"text": text, "entities": [[s.start, s.end, s.type] for s in spans], **offset_unit_of(writing)}
        )


FORMAT = JsonFormat(
    "spacy",
    _FIELDS.fit,
    read_text_record,
    _FIELDS.among,
    unwrap=unwrap,
    description="spaCy: texts with entities, as records or as pairs",
    write=write,
)
