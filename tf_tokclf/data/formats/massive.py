"""MASSIVE: utterances with their slots in brackets.

{"utt": "wake me up at nine am", "annot_utt": "wake me up at [time : nine am]"}
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record, in_fields
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin

_SLOT = re.compile(r"\[\s*([^\[\]:]+?)\s*:\s*([^\[\]]*?)\s*\]")


def _fits(record: Record) -> bool:
    return isinstance(record.get("utt"), str) and isinstance(record.get("annot_utt"), str)


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    marked = record.get("annot_utt")
    if not isinstance(marked, str):
        yield Annotated(str(record.get("utt") or ""), is_labelled=fields.label is not None)
        return
    text, spans = slots_in(marked)
    if "[" in text or "]" in text:
        raise origin.error(f"the brackets are invalid: {marked[:80]!r}.", "Write slots as [slot : words].")
    said = record.get("utt")
    if isinstance(said, str) and said.split() != text.split():
        problem = f"the words in annot_utt and utt differ: {said[:80]!r}."
        raise origin.error(problem, "Check the program that wrote it.")
    annotation = Annotation.of_spans(spans)
    yield Annotated(text, annotations=(annotation,), is_labelled=fields.label is not None)


def slots_in(marked: str) -> tuple[str, list[CharSpan]]:
    """A text without its brackets, and the spans that the brackets marked.

    >>> slots_in("wake me at [time : nine am] please")
    ('wake me at nine am please', [CharSpan(start=11, end=18, type='time', surface='nine am')])
    """
    pieces, spans, at, length = [], [], 0, 0
    for found in _SLOT.finditer(marked):
        before = marked[at : found.start()]
        start = length + len(before)
        spans.append(CharSpan(start, start + len(found[2]), found[1], found[2]))
        pieces += [before, found[2]]
        length = start + len(found[2])
        at = found.end()
    return "".join([*pieces, marked[at:]]), spans


FORMAT = JsonFormat(
    "massive",
    _fits,
    _read,
    in_fields("utt", "annot_utt"),
    description="MASSIVE: utterances with their slots in brackets",
)
