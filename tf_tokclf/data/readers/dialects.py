"""Texts with spans of characters as JSON: the ways that annotation tools write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf_tokclf.data.char_spans import CharSpan
from tf_tokclf.data.sentence import Origin

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Dialect:
    """Where a tool keeps text and spans: the first of these fields that is there."""

    text: tuple[str, ...]
    spans: tuple[str, ...]
    inclusive_end: bool = False


DIALECTS = {
    "spacy": Dialect(("text",), ("entities", "ents")),
    "prodigy": Dialect(("text",), ("spans",)),
    "doccano": Dialect(("text", "data"), ("label", "labels", "entities", "annotations")),
    "label-studio": Dialect(("text",), ("label",)),
    "dataturks": Dialect(("content",), ("annotation",), inclusive_end=True),
}

_STARTS = ("start", "start_offset", "begin", "start_char")
_ENDS = ("end", "end_offset", "end_char")
_TYPES = ("label", "labels", "type", "entity", "tag", "entity_group", "class")
_SURFACES = ("text", "surface", "word", "value")


def detect_dialect(sample: Sequence[Record]) -> str | None:
    """The tool whose records these are, or None where no record has a text with spans."""
    names = {name for record in sample for name in record}
    if {"data", "annotations"} <= names or {"data", "completions"} <= names:
        return "label-studio"
    for name, dialect in DIALECTS.items():
        text = next((field for field in dialect.text if field in names), None)
        for field in dialect.spans:
            if text and any(isinstance(r.get(text), str) and _is_spans(r.get(field)) for r in sample):
                return name
    return None


def normalised(record: Record, dialect: str, origin: Origin) -> Record | None:
    """The record with its text and spans in the dialect's fields; None where annotators turned it down."""
    if record.get("answer", "accept") != "accept":
        return None
    if dialect != "label-studio" or not isinstance(record.get("data"), Mapping):
        return record
    data = record["data"]
    text = next((value for name, value in data.items() if name == "text"), None)
    if text is None:
        text = next((value for value in data.values() if isinstance(value, str)), None)
    annotations = _mappings(record.get("annotations") or record.get("completions") or (), origin)
    done = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    results = _mappings(done[0].get("result", ()), origin) if done else []
    values = _mappings([result["value"] for result in results if "value" in result], origin)
    return {"text": text, "label": [value for value in values if "start" in value]}


def _mappings(items: Any, origin: Origin) -> list[Mapping[str, Any]]:
    """`items`, if it is a list of named fields as Label Studio's annotations, results and values are."""
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, Mapping) for item in items):
        raise origin.error(f"{str(items)[:60]!r} is no annotation.", "Export the tasks from Label Studio as JSON.")
    return list(items)


def fields_of(names: Sequence[str], dialect: str) -> tuple[str, str]:
    """The fields of text and spans among `names`."""
    known = DIALECTS[dialect]
    text = next((name for name in known.text if name in names), known.text[0])
    return text, next((name for name in known.spans if name in names and name != text), known.spans[0])


def char_spans_in(value: Any, origin: Origin) -> list[CharSpan]:
    """The spans in a field: lists [start, end, type], or mappings by any of the usual names."""
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise origin.error(f"{str(value)[:60]!r} is no list of spans.", "Write them as [start, end, type].")
    return [span for item in value for span in _spans_in_item(item, origin)]


def _spans_in_item(item: Any, origin: Origin) -> Iterator[CharSpan]:
    if isinstance(item, (list, tuple)) and len(item) >= 3:
        yield _span(item[0], item[1], item[2], None, item, origin)
        return
    if not isinstance(item, Mapping):
        raise origin.error(
            f"{str(item)[:60]!r} is no span.", "A list [start, end, type] or named fields were expected."
        )
    types = next((item[name] for name in _TYPES if item.get(name)), None)
    types = types if isinstance(types, (list, tuple)) else [types]
    for place in item["points"] if isinstance(item.get("points"), list) else [item]:
        if not isinstance(place, Mapping):
            raise origin.error(f"{str(place)[:60]!r} is no place.", "A start and an end were expected.")
        start, end = (next((place[name] for name in names if name in place), None) for names in (_STARTS, _ENDS))
        surface = next((place[name] for name in _SURFACES if isinstance(place.get(name), str)), None)
        for type in types:
            yield _span(start, end, type, surface, item, origin)


def _span(start: Any, end: Any, type: Any, surface: str | None, item: Any, origin: Origin) -> CharSpan:
    if not (isinstance(start, int) and isinstance(end, int)) or not _is_name(type):
        raise origin.error(f"{str(item)[:80]!r} is no span.", "It needs a start, an end and a type.")
    return CharSpan(start, end, str(type), surface)


def _is_name(type: Any) -> bool:
    return (isinstance(type, str) and type != "") or (isinstance(type, int) and not isinstance(type, bool))


def _is_spans(value: Any) -> bool:
    if not isinstance(value, (list, tuple)):
        return False
    return all(
        (isinstance(item, (list, tuple)) and len(item) >= 3 and isinstance(item[0], int))
        or (isinstance(item, Mapping) and ("points" in item or any(name in item for name in _STARTS)))
        for item in value
    )
