"""Shared code of formats that write a text as a list of chunks, some of which have a type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Annotation, Record
from tf_tokclf.data.reading.word_records import mappings
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin

_FIELD = "data"


def holds_chunks(record: Any, *marks: str) -> bool:
    """Whether a record's `data` is a list of chunks of text, and at least one chunk has one of the fields `marks`.

    >>> holds_chunks({"data": [{"text": "to "}, {"text": "Oslo", "entity": "city"}]}, "entity")
    True
    """
    chunks = record.get(_FIELD) if isinstance(record, Mapping) else None
    if not isinstance(chunks, list) or not all(map(_is_chunk, chunks)):
        return False
    return any(mark in chunk for chunk in chunks for mark in marks)


def _is_chunk(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("text"), str)


def read_chunks(record: Record, types: Sequence[str], origin: Origin, *, is_labelled: bool) -> Iterator[Annotated]:
    """The text of a record and its spans. types: possible fields for the type of a chunk; the first one is used."""
    pieces: list[str] = []
    spans: list[CharSpan] = []
    length = 0
    for chunk in mappings(record.get(_FIELD), origin):
        text = chunk.get("text")
        if not isinstance(text, str):
            raise origin.error(f"{str(chunk)[:60]!r} has no text.", "Check the program that wrote it.")
        type = next((value for name in types if isinstance(value := chunk.get(name), str) and value), None)
        if type is not None and text:
            spans.append(CharSpan(length, length + len(text), type.removeprefix("@"), text))
        pieces.append(text)
        length += len(text)
    yield Annotated("".join(pieces), annotations=(Annotation.of_spans(spans),), is_labelled=is_labelled)
