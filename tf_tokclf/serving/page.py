"""The page where users try a text: a form, and the text with its spans in colour. No scripts, no external resources."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import text_of
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.records.base import Details
from tf_tokclf.records.prediction_fields import span_records
from tf_tokclf.report.marked_text import Part, TextSpan, parts_of
from tf_tokclf.report.marking import TypeColours, visible
from tf_tokclf.serving.limits import Limits


@dataclass(frozen=True)
class Row:
    """A row of the table of spans."""

    type: str
    text: str
    score: float | None
    start: int
    end: int


@dataclass(frozen=True)
class HtmlPage:
    """A page and its HTTP headers."""

    html: str
    headers: Mapping[str, str]


class Page:
    """Renders the page where users try a text."""

    def __init__(self, model_name: str, labels: LabelSet, limits: Limits) -> None:
        self._templates = templates()
        self._colours = TypeColours(labels.types)
        self._fixed = {"model_name": model_name, "labels": labels.names, "limits": limits}

    def render(self, *, text: str = "", shown: Shown | None = None, problem: str | None = None) -> HtmlPage:
        """Render the form with `text` in it, and the result or problem above it."""
        rules = self._colours.rules(row.type for row in shown.rows) if shown else ""
        values = {**self._fixed, "text": text, "shown": shown, "problem": problem, "class_of": self._colours.css_class}
        return html_page(self._templates, "page.html.jinja", rules=rules, **values)


def templates() -> Environment:
    """The Jinja environment for the pages of the server."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("tf_tokclf.serving"), PackageLoader("tf_tokclf.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = visible
    return environment


def html_page(environment: Environment, template: str, *, rules: str = "", **values: Any) -> HtmlPage:
    """Render a page with its style. rules: CSS in addition to page.css.

    The Content-Security-Policy forbids scripts, external resources, and any style except that of the page.
    """
    style = f"\n{environment.get_template('page.css').render()}\n{rules}\n"
    digest = b64encode(sha256(style.encode()).digest()).decode()
    headers = {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return HtmlPage(environment.get_template(template).render(style=style, **values), headers)


@dataclass(frozen=True)
class Shown:
    """A labelled text on the page. seconds: time for labelling it."""

    tagged: TaggedSentence
    seconds: float

    @cached_property
    def rows(self) -> list[Row]:
        """The spans; for labels without spans, the words with their labels."""
        if self.tagged.label_set.scheme is Scheme.NONE:
            return list(self._words())
        return [
            Row(one["type"], one["text"], one["score"], one["start"], one["end"])
            for one in span_records(self.tagged, Details())
        ]

    @property
    def n_words(self) -> int:
        return len(self.tagged.sentence)

    @property
    def unit(self) -> str:
        """What a row stands for."""
        return "word" if self.tagged.label_set.scheme is Scheme.NONE else "span"

    @property
    def parts(self) -> Iterator[Part]:
        """The whole text, in parts."""
        text, _ = text_of(self.tagged.sentence)
        return parts_of(text, (TextSpan(row.start, row.end, row.type) for row in self.rows))

    def _words(self) -> Iterator[Row]:
        text, offsets = text_of(self.tagged.sentence)
        for label, score, (start, end) in zip(self.tagged.labels, self.tagged.scores, offsets):
            yield Row(label, text[start:end], score if score == score else None, start, end)
