"""The page to try a text on: a form, and the text with its spans in colour. No script runs and nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from tf_tokclf.data.schemes import Scheme
from tf_tokclf.data.sentence import text_of
from tf_tokclf.inference.prediction_formats import Details, span_records
from tf_tokclf.inference.tagged import TaggedSentence
from tf_tokclf.report.marking import hue_by_type, visible
from tf_tokclf.serving.limits import Limits

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Part:
    """A run of the text: outside of spans, or one with its type and colour."""

    text: str
    type: str = ""
    hue: int = 0


@dataclass(frozen=True)
class Row:
    """A span in the table."""

    type: str
    text: str
    score: float | None
    start: int
    end: int


class Page:
    """The page's text, as often as wanted."""

    def __init__(self, model_name: str, labels: tuple[str, ...], limits: Limits) -> None:
        environment = Environment(
            loader=ChoiceLoader([PackageLoader("tf_tokclf.serving"), PackageLoader("tf_tokclf.report")]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["plain"] = visible
        self._template = environment.get_template("page.html.jinja")
        self._fixed = {"model_name": model_name, "labels": labels, "limits": limits}

    def html(self, *, text: str = "", shown: Shown | None = None, problem: str | None = None) -> str:
        """The form with `text` in it, and what became of it."""
        values: dict[str, Any] = {**self._fixed, "text": text, "shown": shown, "problem": problem}
        return self._template.render(values)


@dataclass(frozen=True)
class Shown:
    """A labelled text as the page has it. seconds: what labelling it took."""

    tagged: TaggedSentence
    seconds: float

    @cached_property
    def rows(self) -> list[Row]:
        """The spans; where labels spell none, the words with their labels."""
        if self.tagged.label_set.scheme is Scheme.NONE:
            return list(self._words())
        return [
            Row(one["type"], one["text"], one["score"], one["start"], one["end"])
            for one in span_records(self.tagged, Details())
        ]

    @property
    def n_words(self) -> int:
        """How many words the text has."""
        return len(self.tagged.sentence)

    @property
    def unit(self) -> str:
        """What a row is."""
        return "word" if self.tagged.label_set.scheme is Scheme.NONE else "span"

    @property
    def parts(self) -> Iterator[Part]:
        """The text from its beginning to its end."""
        text, _ = text_of(self.tagged.sentence)
        at = 0
        hues = hue_by_type({row.type for row in self.rows} | set(self.tagged.label_set.types))
        for row in self.rows:
            if row.start > at:
                yield Part(text[at : row.start])
            yield Part(text[row.start : row.end], row.type, hues[row.type])
            at = row.end
        if at < len(text):
            yield Part(text[at:])

    def _words(self) -> Iterator[Row]:
        text, offsets = text_of(self.tagged.sentence)
        for label, score, (start, end) in zip(self.tagged.labels, self.tagged.scores, offsets):
            yield Row(label, text[start:end], score if score == score else None, start, end)
