"""spaCy's training JSON before version 3: documents with paragraphs, sentences and tokens, with labels in BILUO.

    [{"id": 0, "paragraphs": [{"sentences": [{"tokens": [{"orth": "Marie", "tag": "NNP", "ner": "U-PER"}]}]}]}]

`-` means that a token has no label.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.labels.sentence import Origin

_NO_LABEL = (None, "", "-")


def _fits(record: Record) -> bool:
    return any(_tokens(sentence) for sentence in _sentences(record))


def _sentences(record: Record) -> Iterator[Any]:
    paragraphs = record.get("paragraphs")
    for paragraph in paragraphs if isinstance(paragraphs, list) else ():
        sentences = paragraph.get("sentences") if isinstance(paragraph, dict) else None
        yield from sentences if isinstance(sentences, list) else ()


def _tokens(sentence: Any) -> list[dict[str, Any]]:
    tokens = sentence.get("tokens") if isinstance(sentence, dict) else None
    found = tokens if isinstance(tokens, list) else []
    return [token for token in found if isinstance(token, dict) and isinstance(token.get("orth"), str)]


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    document = str(record["id"]) if record.get("id") is not None else None
    for sentence in _sentences(record):
        tokens = _tokens(sentence)
        if not tokens or len(tokens) != len(sentence["tokens"]):
            raise origin.error("a token has no text ('orth').", "Check the program that wrote it.")
        values = [token.get(fields.label or "") for token in tokens]
        labels = [None if value in _NO_LABEL else str(value) for value in values]
        yield Annotated(
            words=tuple(token["orth"] for token in tokens),
            annotations=(Annotation(labels=labels),),
            document=document,
            is_labelled=fields.label is not None,
        )


FORMAT = JsonFormat(
    "spacy-v2",
    _fits,
    _read,
    lambda names: Fields("paragraphs", "ner"),
    holds_several=True,
    description="spaCy's training JSON before version 3: one label per token",
)
