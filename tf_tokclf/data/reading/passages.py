"""Documents of passages whose spans count from the beginning of the document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tf_tokclf.data.reading.annotated import Annotated, Annotation
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.labels.char_spans import CharSpan

PIECES = "spans in several pieces taken from their first to their last character"


@dataclass(frozen=True)
class Passage:
    """A text and where it begins in its document."""

    start: int
    text: str

    @property
    def end(self) -> int:
        """Where the passage ends in its document."""
        return self.start + len(self.text)


def annotated_passages(
    passages: Sequence[Passage],
    spans: Sequence[CharSpan] | None,
    document: str | None,
    changes: Changes,
    *,
    is_labelled: bool = True,
) -> Iterator[Annotated]:
    """Each passage with the spans that lie in it. Spans that lie in none are counted."""
    inside = [0] * len(spans or ())
    for passage in passages:
        own = []
        for number, span in enumerate(spans or ()):
            if passage.start <= span.start and span.end <= passage.end + 1:
                inside[number] = 1
                end = min(span.end, passage.end)
                own.append(CharSpan(span.start - passage.start, end - passage.start, span.type, span.surface))
        annotations = () if spans is None else (Annotation(lambda reader, own=own: own),)  # type: ignore[misc]
        yield Annotated(passage.text, annotations=annotations, document=document, is_labelled=is_labelled)
    if lost := len(inside) - sum(inside):
        changes["spans dropped: they are in no passage"] += lost
