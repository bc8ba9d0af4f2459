"""SNIPS data sets: utterances as lists of chunks, grouped by intent.

{"AddToPlaylist": [{"data": [{"text": "add "}, {"text": "Kimi", "entity": "artist"}]}]}
{"intents": {"AddToPlaylist": {"utterances": [
  {"data": [{"text": "add "}, {"text": "Kimi", "entity": "person", "slot_name": "who"}]}]}}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Fields, JsonFormat, Record, in_fields
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.chunks import holds_chunks, read_chunks
from tf_tokclf.labels.sentence import Origin

_TYPES = ("slot_name", "entity")


def _fits(record: Record) -> bool:
    return holds_chunks(record, *_TYPES)


def unwrap(value: Any) -> list[Any] | None:
    """The utterances of all intents, or the document itself if it is a single utterance."""
    if not isinstance(value, Mapping):
        return None
    if holds_chunks(value, *_TYPES):
        return [value]
    intents = value.get("intents")
    found = intents.values() if isinstance(intents, Mapping) else value.values()
    lists = [one.get("utterances") if isinstance(one, Mapping) else one for one in found]
    utterances = [utterance for one in lists if isinstance(one, list) for utterance in one]
    are_all = utterances and all(isinstance(one, Mapping) and isinstance(one.get("data"), list) for one in utterances)
    return utterances if are_all and any(holds_chunks(one, *_TYPES) for one in utterances) else None


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    return read_chunks(record, _TYPES, origin, is_labelled=fields.label is not None)


FORMAT = JsonFormat(
    "snips",
    _fits,
    _read,
    in_fields("data", "data"),
    unwrap=unwrap,
    description="SNIPS: utterances as chunks of text, some with a type",
)
