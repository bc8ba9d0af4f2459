"""Whole texts with marked spans: divided into parts, and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from markupsafe import Markup

from tf_tokclf.report.marking import TEXT_ON_LIGHT, TypeColours
from tf_tokclf.report.page_environment import page_environment

_SHOWN_TEXTS = 50
_SHOWN_CHARACTERS = 20_000


@dataclass(frozen=True)
class TextSpan:
    """A typed part of a text. start, end: offsets in characters. label: shown after it, by default the type."""

    start: int
    end: int
    type: str
    label: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a text: a span with its type and label, or text between spans."""

    text: str
    type: str = ""
    label: str = ""


@dataclass(frozen=True)
class MarkedText:
    """A text and its spans, which are in order and do not overlap."""

    text: str
    spans: Sequence[TextSpan]


def parts_of(text: str, spans: Iterable[TextSpan]) -> Iterator[Part]:
    """The whole text, in parts. The spans are in order and do not overlap.

    >>> [part.text for part in parts_of("in Oslo now", [TextSpan(3, 7, "LOC")])]
    ['in ', 'Oslo', ' now']
    """
    at = 0
    for span in spans:
        if span.start > at:
            yield Part(text[at : span.start])
        yield Part(text[span.start : span.end], span.type, span.label or span.type)
        at = span.end
    if at < len(text):
        yield Part(text[at:])


def marked_html(texts: Sequence[MarkedText], types: Iterable[str]) -> Markup:
    """The texts with their spans in colour, as HTML for a notebook. All text is escaped.

    types: all types that may occur, which decide on the colours. The styles are inline, because the outputs of a
    notebook share one page. A span has its own colours of text and ground, so that it can be read on light and dark
    pages. Only the first texts, and the start of long ones, are shown.
    """
    template = page_environment().get_template("marked_texts.html.jinja")
    shown = [list(parts_of(*_start_of(one))) for one in islice(texts, _SHOWN_TEXTS)]
    return Markup(
        template.render(
            texts=shown,
            n_left_out=max(0, len(texts) - _SHOWN_TEXTS),
            colour=TypeColours(types).colour,
            text_on_light=TEXT_ON_LIGHT,
        )
    )


def _start_of(marked: MarkedText) -> tuple[str, Sequence[TextSpan]]:
    """The start of a text, if it is long, with the spans in it."""
    if len(marked.text) <= _SHOWN_CHARACTERS:
        return marked.text, marked.spans
    return f"{marked.text[:_SHOWN_CHARACTERS]}…", [span for span in marked.spans if span.end <= _SHOWN_CHARACTERS]
