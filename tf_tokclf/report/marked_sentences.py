"""Sentences with marked spans, as the templates of the pages show them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tf_tokclf.labels.sentence import Span
from tf_tokclf.report.marking import TypeColours, visible
from tf_tokclf.scoring.matching import align_spans

_SHOWN_WORDS = 90
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class Shown:
    """Words of an example: either a span, or words between spans. css_class: the class of the type's colour."""

    words: str
    type: str = ""
    css_class: str = ""
    right: bool = True


def marked_words(
    words: Sequence[str], spans: Sequence[Span], right: Collection[Span], colours: TypeColours, first: int
) -> list[Shown]:
    """The words from `first` on, with their spans. Those that are not in `right` are marked as wrong."""
    end = min(len(words), first + _SHOWN_WORDS)
    shown = [Shown("…")] if first else []
    position = first
    for span in spans:
        if span.start < position or span.start >= end:
            continue
        if span.start > position:
            shown.append(Shown(joined(words[position : span.start])))
        inside = joined(words[span.start : min(span.end, end)])
        shown.append(Shown(inside, visible(span.type), colours.css_class(span.type), span in right))
        position = span.end
    if position < end:
        shown.append(Shown(joined(words[position:end])))
    return [*shown, Shown("…")] if end < len(words) else shown


def first_shown(sides: Iterable[tuple[Sequence[Span], Sequence[Span]]]) -> int:
    """The index of the first word to show, so that the first error of a long sentence is visible.

    sides: gold spans and predicted spans, of one or several systems.
    """
    wrong = [
        min(span.start for span in pair if span)
        for gold, predicted in sides
        for pair in align_spans(gold, predicted)
        if pair[0] != pair[1]
    ]
    first = min(wrong, default=0)
    return max(0, first - 10) if first > _SHOWN_WORDS // 2 else 0


def joined(words: Sequence[str]) -> str:
    """Words as text. Very long ones are cut."""
    return " ".join(visible(w if len(w) <= _SHOWN_CHARACTERS else w[:_SHOWN_CHARACTERS] + "…") for w in words)
