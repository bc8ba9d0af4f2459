"""DataTurks: texts with character spans with inclusive ends.

{"content": "Marie left", "annotation": [{"label": ["PER"], "points": [{"start": 0, "end": 4, "text": "Marie"}]}]}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tf_tokclf.data.reading.annotated import JsonFormat
from tf_tokclf.data.reading.text_records import TextFields, read_text_record
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.data.writing.texts import offset_unit_of, texts_with_spans
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.sentence import Sentence

_FIELDS = TextFields(("content",), ("annotation",))


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """DataTurks' records, with inclusive ends."""
    for text, spans, _ in texts_with_spans(sentences, writing):
        marked = [
            {"label": [s.type], "points": [{"start": s.start, "end": s.end - 1, "text": s.surface}]} for s in spans
        ]
        yield json_line({"content": text, "annotation": marked, "extras": None, **offset_unit_of(writing)})


FORMAT = JsonFormat(
    "dataturks",
    _FIELDS.fit,
    read_text_record,
    _FIELDS.among,
    inclusive_end=True,
    description="DataTurks: texts with annotations, inclusive ends",
    write=write,
)
