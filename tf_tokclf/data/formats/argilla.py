"""Argilla: texts with character spans by annotators, in the forms of versions 1 and 2.

{"text": "Marie left", "tokens": ["Marie", "left"], "annotation": [["PER", 0, 5]], "status": "Validated"}
{"fields": {"text": "Marie left"}, "responses": {"span": [{"value": [{"label": "PER", "start": 0, "end": 5}],
 "user_id": "..."}]}}
{"text": "Marie left", "span.responses": [[{"label": "PER", "start": 0, "end": 5}]],
 "span.responses.status": ["submitted"], "span.responses.users": ["..."]}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import zip_longest
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record, SpanReader
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.text_records import REJECTED, char_spans_in, text_in
from tf_tokclf.data.reading.word_records import is_words, text_field
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin

_RESPONSES = ".responses"
_TEXTS = ("text", "sentence", "input", "prompt")


def _fits(record: Record) -> bool:
    if isinstance(record.get("fields"), Mapping) and "responses" in record:
        return True
    if _question(record) and text_field(record, *_TEXTS) is not None:
        return True
    annotation = record.get("annotation")
    has_words = isinstance(record.get("text"), str) and is_words(record.get("tokens"))
    is_spans = annotation is None or (isinstance(annotation, list) and all(map(_is_triple, annotation)))
    return has_words and "annotation" in record and is_spans


def _is_triple(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int)


def _fields(names: Any) -> Fields:
    if question := _question(names):
        return Fields(next((name for name in _TEXTS if name in names), "text"), f"{question}{_RESPONSES}")
    return Fields("fields", "responses") if "fields" in names else Fields("text", "annotation")


def _question(names: Iterable[str]) -> str | None:
    """The question whose responses are in separate columns, as `to_datasets` writes them."""
    found = (name for name in names if name.endswith(_RESPONSES))
    return next((name.removesuffix(_RESPONSES) for name in found), None)


def _in_columns(record: Record, question: str) -> list[dict[str, Any]]:
    """Convert responses in columns to the form of responses in records."""
    values = record.get(f"{question}{_RESPONSES}") or []
    users, states = (record.get(f"{question}{_RESPONSES}.{name}") or [] for name in ("users", "status"))
    return [
        {"value": value, "user_id": user, "status": state or "submitted"}
        for value, user, state in zip_longest(values, users, states)
        if value is not None
    ]


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    if str(record.get("status")).lower() == "discarded":
        changes[REJECTED] += 1
        return
    is_labelled = fields.label is not None
    if isinstance(record.get("fields"), Mapping):
        text = text_field(record["fields"], "text") or text_field(record["fields"], *record["fields"])
        if text is None:
            raise origin.error("there is no text in 'fields'.", f"It contains {', '.join(map(str, record['fields']))}.")
        annotations = tuple(_responses(record.get("responses"))) if is_labelled else ()
        yield Annotated(text, annotations=annotations, is_labelled=is_labelled)
        return
    text = text_in(record, fields.word, origin)
    if question := _question(record):
        annotations = tuple(_responses(_in_columns(record, question))) if is_labelled else ()
        yield Annotated(text, annotations=annotations, is_labelled=is_labelled)
        return
    spans = record.get("annotation")
    annotations = () if spans is None else (Annotation(partial(_spans, spans), annotator=_agent(record)),)
    yield Annotated(text, tokens=_tokens(record.get("tokens"), text), annotations=annotations, is_labelled=is_labelled)


def _agent(record: Record) -> str | None:
    agent = record.get("annotation_agent")
    return None if agent is None else str(agent)


def _spans(spans: Any, reader: SpanReader) -> list[CharSpan]:
    """Spans as [type, start, end]."""
    in_order = [[s[1], s[2], s[0]] if _is_triple(s) else s for s in spans] if isinstance(spans, list) else spans
    return char_spans_in(in_order, reader)


def _responses(responses: Any) -> Iterator[Annotation]:
    """The submitted responses: grouped by question, or in a list with the values of all questions."""
    if isinstance(responses, Mapping):
        found = [one for answers in responses.values() if isinstance(answers, list) for one in answers]
    else:
        found = responses if isinstance(responses, list) else []
    for response in found:
        if not isinstance(response, Mapping) or str(response.get("status", "submitted")) != "submitted":
            continue
        values = response.get("values")
        value = next(iter(values.values()), None) if isinstance(values, Mapping) and values else response
        spans = value.get("value") if isinstance(value, Mapping) else value
        user = response.get("user_id")
        time = str(response.get("updated_at") or response.get("inserted_at") or "")
        yield Annotation(partial(char_spans_in, spans), annotator=None if user is None else str(user), time=time)


def _tokens(words: Any, text: str) -> tuple[CharSpan, ...] | None:
    """The positions of the words in the text; None if a word is not found."""
    found, at = [], 0
    for word in words if is_words(words) else ():
        start = text.find(word, at)
        if start < 0 or (text[at:start] and not text[at:start].isspace()):
            return None
        at = start + len(word)
        found.append(CharSpan(start, at, "token", word))
    return tuple(found) or None


FORMAT = JsonFormat(
    "argilla",
    _fits,
    _read,
    _fields,
    description="records of Argilla 1 and 2: texts with character spans",
)
