"""doccano: texts with character spans, as lists or with named fields.

{"text": "Marie left", "label": [[0, 5, "PER"]]}
{"text": "Marie left", "entities": [{"id": 1, "label": "PER", "start_offset": 0, "end_offset": 5}]}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tf_tokclf.data.reading.annotated import JsonFormat
from tf_tokclf.data.reading.text_records import TextFields, read_text_record
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.data.writing.texts import offset_unit_of, texts_with_spans
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.sentence import Sentence

_FIELDS = TextFields(("text", "data"), ("label", "labels", "entities", "annotations"))


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """doccano's records: text, label as [start, end, type]."""
    for text, spans, _ in texts_with_spans(sentences, writing):
        yield json_line({"text": text, "label": [[s.start, s.end, s.type] for s in spans], **offset_unit_of(writing)})


FORMAT = JsonFormat(
    "doccano",
    _FIELDS.fit,
    read_text_record,
    _FIELDS.among,
    description="doccano: texts with spans, as lists or with named fields",
    write=write,
)
