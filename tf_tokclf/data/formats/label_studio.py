"""Label Studio's JSON export: tasks with the annotations of each annotator.

[{"data": {"text": "Marie left"}, "annotations": [{"completed_by": 1, "result": [
  {"from_name": "label", "to_name": "text", "type": "labels",
   "value": {"start": 0, "end": 5, "text": "Marie", "labels": ["PER"]}}]}]}]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.lists import as_list
from tf_tokclf.data.reading.text_records import TextFields, char_spans_in, read_text_record
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.data.writing.texts import offset_unit_of, texts_with_spans
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.sentence import Origin, Sentence

_FIELDS = TextFields(("text",), ("label",))


def _fits(record: Record) -> bool:
    """Whether a record is a task, annotated or not: it may have only predictions or a text."""
    data = record.get("data")
    lists = ("annotations", "completions", "predictions")
    return isinstance(data, Mapping) and (any(name in record for name in lists) or isinstance(data.get("text"), str))


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    """A task with its annotations that were submitted and not cancelled."""
    if not isinstance(record.get("data"), Mapping):
        yield from read_text_record(record, fields, origin, changes)
        return
    data = record["data"]
    texts = [value for value in (data.get("text"), *data.values()) if isinstance(value, str) and value]
    if not texts:
        raise origin.error("there is no text in 'data'.", f"It contains {', '.join(map(str, data)) or 'no fields'}.")
    done = [
        annotation
        for annotation in _mappings(record.get("annotations") or record.get("completions") or (), origin)
        if not annotation.get("was_cancelled")
    ]
    yield Annotated(
        _annotated_text(texts, done),
        annotations=tuple(_annotation(annotation, origin) for annotation in done),
        is_labelled=fields.label is not None,
    )


def _annotated_text(texts: Sequence[str], annotations: Sequence[Record]) -> str:
    """The text that was annotated. A task may have several, and the export does not name the annotated one, so the text
    that fits the most spans is chosen, or the first one.
    """
    found = (result for one in annotations for result in as_list(one.get("result")) or ())
    results = [result for result in found if isinstance(result, Mapping)]
    values = [result["value"] for result in results if isinstance(result.get("value"), Mapping)]

    def n_fitting(text: str) -> int:
        return sum(
            isinstance(start := value.get("start"), int)
            and isinstance(surface := value.get("text"), str)
            and text.startswith(surface, start)
            for value in values
        )

    return max(texts, key=n_fitting)


def _annotation(annotation: Record, origin: Origin) -> Annotation:
    results = _mappings(annotation.get("result") or (), origin)
    values = _mappings([result["value"] for result in results if "value" in result], origin)
    by = annotation.get("completed_by")
    names = [str(by[key]) for key in ("id", "email") if key in by] if isinstance(by, Mapping) else []
    names = names if by is None or isinstance(by, Mapping) else [str(by)]
    return Annotation(
        partial(char_spans_in, [value for value in values if "start" in value]),
        annotator=names[0] if names else None,
        also=frozenset(names),
        time=str(annotation.get("updated_at") or annotation.get("created_at") or ""),
    )


def _mappings(items: Any, origin: Origin) -> list[Record]:
    """`items` as a list of annotations, results or values. Raises UserError if it is not a list of mappings."""
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, Mapping) for item in items):
        raise origin.error(f"{str(items)[:60]!r} is not an annotation.", "Export the tasks from Label Studio as JSON.")
    return list(items)


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """Label Studio's export: one JSON list of tasks."""
    opening = "[\n"
    for text, spans, _ in texts_with_spans(sentences, writing):
        result = [
            {
                "from_name": "label",
                "to_name": "text",
                "type": "labels",
                "value": {"start": s.start, "end": s.end, "text": s.surface, "labels": [s.type]},
            }
            for s in spans
        ]
        meta = {"meta": unit} if (unit := offset_unit_of(writing)) else {}
        yield opening + json_line({"data": {"text": text}, "annotations": [{"result": result}], **meta}).rstrip("\n")
        opening = ",\n"
    yield "[]\n" if opening == "[\n" else "\n]\n"


FORMAT = JsonFormat(
    "label-studio",
    _fits,
    _read,
    _FIELDS.among,
    description="Label Studio's JSON export: tasks with annotations",
    write=write,
)
