"""CLUENER: texts with character spans, grouped by type and surface. Ends are inclusive.

{"text": "王芳在北京图书馆工作", "label": {"name": {"王芳": [[0, 1]]}, "organization": {"北京图书馆": [[3, 7]]}}}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record, SpanReader, in_fields
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.text_records import document_in, text_in
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.data.writing.texts import texts_with_spans
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin, Sentence


def _fits(record: Record) -> bool:
    label = record.get("label")
    if not isinstance(record.get("text"), str) or not isinstance(label, Mapping):
        return False
    return all(isinstance(places, Mapping) and all(map(_is_places, places.values())) for places in label.values())


def _is_places(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(place, list) and len(place) == 2 for place in value)


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    text = text_in(record, fields.word, origin)
    label = record.get(fields.label) if fields.label is not None else None
    annotations = () if label is None else (Annotation(lambda reader: _spans(label, reader)),)
    yield Annotated(text, annotations=annotations, document=document_in(record), is_labelled=fields.label is not None)


def _spans(label: Any, reader: SpanReader) -> list[CharSpan]:
    if not isinstance(label, Mapping):
        problem = f"{str(label)[:60]!r} does not map types to spans."
        raise reader.origin.error(problem, "The form is {TYPE: {SURFACE: [[START, END]]}}.")
    found = []
    for type, places in label.items():
        for surface, spans in places.items() if isinstance(places, Mapping) else ():
            for place in spans if isinstance(spans, list) else ():
                if isinstance(place, list) and len(place) == 2 and all(isinstance(at, int) for at in place):
                    found.append(CharSpan(place[0], place[1], type, surface))
                else:
                    error = reader.origin.error(f"{place!r} is not a position.", "Write it as [start, end].")
                    reader.drop(error, "spans dropped: no start and end")
    return found


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One record per line."""
    for text, spans, _ in texts_with_spans(sentences, writing):
        label: dict[str, dict[str, list[list[int]]]] = {}
        for span in spans:
            label.setdefault(span.type, {}).setdefault(span.surface or "", []).append([span.start, span.end - 1])
        yield json_line({"text": text, "label": label})


FORMAT = JsonFormat(
    "cluener",
    _fits,
    _read,
    in_fields("text", "label"),
    inclusive_end=True,
    description="CLUENER: texts with character spans, by type and surface",
    write=write,
)
