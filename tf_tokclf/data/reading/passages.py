"""Documents that consist of passages, with span offsets relative to the document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tf_tokclf.data.reading.annotated import Annotated, Annotation
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.labels.char_spans import CharSpan

PIECES = "spans with gaps read from their first to their last character"


@dataclass(frozen=True)
class Passage:
    """A text and its position in the document."""

    start: int
    text: str

    @property
    def end(self) -> int:
        """Position in the document after the last character."""
        return self.start + len(self.text)


def annotated_passages(
    passages: Sequence[Passage],
    spans: Sequence[CharSpan] | None,
    document: str | None,
    changes: Changes,
    *,
    is_labelled: bool = True,
) -> Iterator[Annotated]:
    """Each passage with its spans. Spans that are in no passage are counted."""
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
        changes["spans dropped: not inside a passage"] += lost
