"""Shared code of formats of words with spans of words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, Record, WordSpan
from tf_tokclf.data.reading.text_records import document_in
from tf_tokclf.labels.sentence import Origin


def words_in(value: Any, origin: Origin) -> tuple[str, ...]:
    """The words in a value. Raises UserError if it is not a list of words."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(word, (str, int, float)) for word in value):
        raise origin.error(f"{str(value)[:60]!r} is not a list of words.", "A list of strings was expected.")
    return tuple(map(str, value))


def is_words(value: Any) -> bool:
    """Whether a value is a non-empty list of strings."""
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(word, str) for word in value)


def words_with_spans(
    record: Record, fields: Fields, origin: Origin, spans_in: Callable[[Any, Origin], Iterator[WordSpan]]
) -> Annotated:
    """The words of a record and the spans that `spans_in` reads from its label field. If the field is null, it is not
    annotated.
    """
    spans = record.get(fields.label) if fields.label is not None else None
    annotations = () if spans is None else (Annotation(word_spans=list(spans_in(spans, origin))),)
    return Annotated(
        words=words_in(record.get(fields.word), origin),
        annotations=annotations,
        document=document_in(record),
        is_labelled=fields.label is not None,
    )


def triples(spans: Any, origin: Origin) -> Iterator[WordSpan]:
    """Spans written as [start, end, type]."""
    for span in _list(spans, origin):
        if not isinstance(span, (list, tuple)) or len(span) < 3 or not _are_numbers(span[:2]) or not _is_type(span[2]):
            raise origin.error(f"{str(span)[:60]!r} is not a span.", "Spans are written as [start, end, type].")
        yield span[0], span[1], span[2]


def named(spans: Any, origin: Origin) -> Iterator[WordSpan]:
    """Spans written as {"start": ..., "end": ..., "type": ...}."""
    for span in _list(spans, origin):
        start, end, type = (span.get(name) if isinstance(span, dict) else None for name in ("start", "end", "type"))
        if not isinstance(start, int) or not isinstance(end, int) or not isinstance(type, (str, int)) or type == "":
            raise origin.error(f"{str(span)[:60]!r} is not a span.", "A span needs a start, an end and a type.")
        yield start, end, type


def mappings(value: Any, origin: Origin) -> list[Record]:
    """The items of a list of mappings; none for None. Raises UserError for anything else."""
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, Mapping) for item in value):
        raise origin.error(f"{str(value)[:60]!r} is not a list of objects.", "Check the program that wrote it.")
    return list(value)


def text_field(record: Record, *names: str) -> str | None:
    """The first text in these fields."""
    return next((value for name in names if isinstance(value := record.get(name), str)), None)


def _list(value: Any, origin: Origin) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        return value
    raise origin.error(f"{str(value)[:60]!r} is not a list of spans.", "A list was expected.")


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def _is_type(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""
