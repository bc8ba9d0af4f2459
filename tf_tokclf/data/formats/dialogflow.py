"""Dialogflow's training phrases (INTENT_usersays_LANGUAGE.json): texts as lists of chunks.

    [{"data": [{"text": "go to ", "userDefined": false}, {"text": "Oslo", "alias": "city", "meta": "@sys.geo-city"}]}]

The type of a chunk is the name of its parameter (`alias`), or of its entity (`meta`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Fields, JsonFormat, Record, in_fields
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.reading.chunks import holds_chunks, read_chunks
from tf_tokclf.labels.sentence import Origin

_TYPES = ("alias", "meta")


def _fits(record: Record) -> bool:
    return holds_chunks(record, *_TYPES, "userDefined")


def unwrap(value: Any) -> list[Any] | None:
    """A document that is a single phrase, as a list."""
    return [value] if holds_chunks(value, *_TYPES, "userDefined") else None


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    return read_chunks(record, _TYPES, origin, is_labelled=fields.label is not None)


FORMAT = JsonFormat(
    "dialogflow",
    _fits,
    _read,
    in_fields("data", "data"),
    unwrap=unwrap,
    description="Dialogflow: training phrases as chunks of text, some with a type",
)
