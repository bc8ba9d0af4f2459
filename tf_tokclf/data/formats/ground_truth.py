"""Output manifests of Amazon SageMaker Ground Truth for named entities, also read by Amazon Comprehend.

    {"source": "Marie left", "ner": {"annotations": {"entities": [{"label": "PER", "startOffset": 0, "endOffset": 5}]}},
     "ner-metadata": {"creation-date": "2023-01-31T12:00:00.000000"}}

The field of the labels is named after the labelling job. Several jobs give several annotations of a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record, SpanReader
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.text_records import char_spans_in, text_in
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin

_METADATA = "-metadata"


def _fits(record: Record) -> bool:
    return isinstance(record.get("source"), str) and bool(_jobs(record))


def _jobs(record: Record) -> dict[str, list[Any]]:
    """The entities of each labelling job."""
    found = {}
    for name, value in record.items():
        annotations = value.get("annotations") if isinstance(value, Mapping) else None
        entities = annotations.get("entities") if isinstance(annotations, Mapping) else None
        if isinstance(entities, list):
            found[name] = entities
    return found


def _fields(names: Sequence[str]) -> Fields:
    return Fields("source", next((name for name in names if f"{name}{_METADATA}" in names), "annotations"))


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    annotations = [
        Annotation(partial(_spans, entities), annotator=job, time=_time(record.get(f"{job}{_METADATA}")))
        for job, entities in _jobs(record).items()
    ]
    is_labelled = fields.label is not None
    yield Annotated(text_in(record, fields.word, origin), annotations=tuple(annotations), is_labelled=is_labelled)


def _time(metadata: Any) -> str:
    return str(metadata.get("creation-date") or "") if isinstance(metadata, Mapping) else ""


def _spans(entities: Sequence[Any], reader: SpanReader) -> list[CharSpan]:
    return char_spans_in([_with_usual_names(entity) for entity in entities], reader)


def _with_usual_names(entity: Any) -> Any:
    names = {"startOffset": "start", "endOffset": "end"}
    return {names.get(key, key): value for key, value in entity.items()} if isinstance(entity, Mapping) else entity


FORMAT = JsonFormat(
    "ground-truth",
    _fits,
    _read,
    _fields,
    description="SageMaker Ground Truth and Comprehend: manifests of texts with character spans",
)
