"""Records of a text with character spans, as most annotation tools write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record, SpanReader
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.lists import as_list, parse_list
from tf_tokclf.labels.char_spans import OFFSET_UNITS, CharSpan
from tf_tokclf.labels.sentence import Origin

REJECTED = "records left out: not accepted by the annotator"
_NO_TYPE = "spans dropped: no type"
_NO_SPAN = "spans dropped: no start and end"

_STARTS = ("start", "start_offset", "begin", "start_char")
_ENDS = ("end", "end_offset", "end_char")
_TYPES = ("label", "labels", "type", "entity", "tag", "entity_group", "class")
_SURFACES = ("text", "surface", "word", "value")


def char_spans_in(value: Any, reader: SpanReader) -> list[CharSpan]:
    """The spans in a field: lists [start, end, type] or mappings with common field names, as a list or as columns."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        value = _transposed(value)
    if not isinstance(value, (list, tuple)):
        raise reader.origin.error(f"{str(value)[:60]!r} is not a list of spans.", "Write spans as [start, end, type].")
    return [span for item in value for span in _spans_in_item(item, reader)]


def is_spans(value: Any) -> bool:
    """Whether a value is a list of character spans, or columns of starts, ends and types.

    >>> is_spans([[0, 3, "PER"]]), is_spans({"start": [0], "end": [3], "label": ["PER"]}), is_spans(["PER"])
    (True, True, False)
    """
    if isinstance(value, Mapping):
        return any(isinstance(value.get(name), (list, tuple)) for name in _STARTS)
    return isinstance(value, (list, tuple)) and all(_is_span(item) for item in value)


def _is_span(item: Any) -> bool:
    if isinstance(item, Mapping):
        return "points" in item or any(name in item for name in _STARTS)
    return isinstance(item, (list, tuple)) and len(item) >= 3 and isinstance(item[0], int)


def _transposed(columns: Mapping[str, Any]) -> list[dict[str, Any]] | Mapping[str, Any]:
    """The rows of columns with equal lengths, as `datasets` writes a sequence of spans."""
    lists = {name: value for name, value in columns.items() if isinstance(value, (list, tuple))}
    if not lists or len({len(value) for value in lists.values()}) > 1:
        return columns
    return [dict(zip(lists, row)) for row in zip(*lists.values())]


def _spans_in_item(item: Any, reader: SpanReader) -> Iterator[CharSpan]:
    if isinstance(item, (list, tuple)) and len(item) >= 3:
        yield from _span(item[0], item[1], item[2], None, item, reader)
        return
    if not isinstance(item, Mapping):
        problem = f"{str(item)[:60]!r} is not a span."
        reader.drop(reader.origin.error(problem, "Write it as [start, end, type] or with named fields."), _NO_SPAN)
        return
    types = next((item[name] for name in _TYPES if item.get(name) not in (None, "", [])), None)
    types = types if isinstance(types, (list, tuple)) else [types]
    for place in item["points"] if isinstance(item.get("points"), list) else [item]:
        if not isinstance(place, Mapping):
            problem = f"{str(place)[:60]!r} is not a position."
            reader.drop(reader.origin.error(problem, "It needs a start and an end."), _NO_SPAN)
            continue
        start, end = (next((place[name] for name in names if name in place), None) for names in (_STARTS, _ENDS))
        surface = next((place[name] for name in _SURFACES if isinstance(place.get(name), str)), None)
        for type in types:
            yield from _span(start, end, type, surface, item, reader)


def _span(start: Any, end: Any, type: Any, surface: str | None, item: Any, reader: SpanReader) -> Iterator[CharSpan]:
    error = reader.origin.error(f"{str(item)[:80]!r} is not a span.", "A span needs a start, an end and a type.")
    if not (isinstance(start, int) and isinstance(end, int)):
        reader.drop(error, _NO_SPAN)
    elif not _is_name(type):
        reader.drop(error, _NO_TYPE)
    else:
        yield CharSpan(start, end, reader.type_name(type), surface)


def _is_name(type: Any) -> bool:
    return (isinstance(type, str) and type != "") or (isinstance(type, int) and not isinstance(type, bool))


@dataclass(frozen=True)
class TextFields:
    """Possible fields of the text and of the spans. The first one that exists is used."""

    text: tuple[str, ...]
    spans: tuple[str, ...]

    def fit(self, record: Record) -> bool:
        """Whether a record has a text and spans in these fields."""
        text = next((name for name in self.text if isinstance(record.get(name), str)), None)
        values = (record.get(name) for name in self.spans if name != text)
        return text is not None and any(is_spans(as_list(value) or value) for value in values)

    def among(self, names: Sequence[str]) -> Fields:
        """The fields of text and spans among `names`."""
        text = next((name for name in self.text if name in names), self.text[0])
        return Fields(text, next((name for name in self.spans if name in names and name != text), self.spans[0]))


def read_text_record(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    """Read a record with a field for the text and a field for its spans."""
    if record.get("answer", "accept") != "accept":
        changes[REJECTED] += 1
        return
    text = text_in(record, fields.word, origin)
    spans = record.get(fields.label) if fields.label is not None else None
    if isinstance(spans, str):
        spans = parse_list(spans, str(fields.label), origin) if spans.strip() else None
    if spans is None and record.get("answer") == "accept":
        spans = []  # Prodigy omits the field if there are no spans
    yield Annotated(
        text,
        annotations=() if spans is None else tuple(_by_annotator(spans)),
        tokens=_tokens(record.get("tokens"), origin),
        document=document_in(record),
        is_labelled=fields.label is not None,
    )


def _by_annotator(spans: Any) -> Iterator[Annotation]:
    """One annotation per annotator, if all spans of the list have a `user` (doccano)."""
    users = {_user(span) for span in spans} if isinstance(spans, (list, tuple)) else {None}
    if len(users) < 2 or None in users:
        yield Annotation(partial(char_spans_in, spans), annotator=next(iter(users), None))
        return
    for user in dict.fromkeys(map(_user, spans)):
        own = [span for span in spans if _user(span) == user]
        time = max((str(span.get("updated_at") or span.get("created_at") or "") for span in own), default="")
        yield Annotation(partial(char_spans_in, own), annotator=user, time=time)


def _user(span: Any) -> str | None:
    user = span.get("user") if isinstance(span, Mapping) else None
    return None if user is None else str(user)


def text_in(record: Record, name: str, origin: Origin) -> str:
    """The text in a field. Raises UserError if there is none."""
    text = record.get(name)
    if not isinstance(text, str):
        raise origin.error(f"there is no text in {name!r}.", f"The fields are {', '.join(map(str, record))}.")
    return text


def offset_unit_in(record: Record) -> str | None:
    """The unit of a record's offsets, from its field `offset_unit`. `predict` and `convert` write this field unless the
    unit is code points.

    >>> offset_unit_in({"text": "Ada", "offset_unit": "utf16"}), offset_unit_in({"meta": {"offset_unit": "byte"}})
    ('utf16', 'byte')
    """
    meta = record.get("meta")
    unit = record.get("offset_unit") or (meta.get("offset_unit") if isinstance(meta, Mapping) else None)
    return unit if unit in OFFSET_UNITS else None


def document_in(record: Record) -> str | None:
    """The id of the document to which a record belongs."""
    document = record.get("document")
    return document if isinstance(document, str) else None


def _tokens(tokens: Any, origin: Origin) -> tuple[CharSpan, ...] | None:
    """The words that a record includes (Prodigy)."""
    if not isinstance(tokens, list) or not all(
        isinstance(token, Mapping) and {"start", "end"} <= token.keys() for token in tokens
    ):
        return None
    for token in tokens:
        if not (isinstance(token["start"], int) and isinstance(token["end"], int)):
            problem = f"a token has the start {token['start']!r} and the end {token['end']!r}."
            raise origin.error(problem, "Correct the field 'tokens', or remove it.")
    return tuple(CharSpan(token["start"], token["end"], "token", token.get("text")) for token in tokens)


# Texts of no particular format, with or without spans.
PLAIN = JsonFormat("text", lambda record: False, read_text_record, TextFields(("text",), ("spans",)).among)
