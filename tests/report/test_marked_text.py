"""Texts with marked spans, as notebooks show them."""

from __future__ import annotations

import re
from html import unescape

from tests.report.runs import NASTY
from tests.report.test_marking import contrast
from tf_tokclf.report.marked_text import MarkedText, TextSpan, marked_html, parts_of
from tf_tokclf.report.marking import GREY, TEXT_ON_LIGHT, TypeColours

TEXT = "Ada Lovelace lived\nin London"
SPANS = [TextSpan(0, 12, "PER"), TextSpan(22, 28, "LOC")]


def text_in(html: str) -> str:
    """The text of a fragment without the names of types."""
    without_names = re.sub(r"<span [^>]*>[^<]*</span>", "", html)
    return unescape(re.sub("<[^>]*>", "", without_names)).strip("\n")


def test_the_parts_are_the_whole_text():
    parts = list(parts_of(TEXT, SPANS))
    assert "".join(part.text for part in parts) == TEXT
    assert [(part.text, part.type) for part in parts if part.type] == [("Ada Lovelace", "PER"), ("London", "LOC")]


def test_the_text_is_shown_unchanged_and_each_type_in_its_colour():
    html = marked_html([MarkedText(TEXT, SPANS)], ["LOC", "PER", "ORG"])
    assert text_in(html) == TEXT
    colours = TypeColours(["LOC", "PER", "ORG"])
    fills = re.findall(r"background:(#\w{6})\">(\w+)", html)
    assert fills == [(colours.colour("PER").light_fill, "Ada"), (colours.colour("LOC").light_fill, "London")]
    assert html == marked_html([MarkedText(TEXT, SPANS)], ["ORG", "PER", "LOC"])


def test_text_types_and_labels_are_escaped():
    html = marked_html([MarkedText(NASTY, [TextSpan(0, 8, f"{NASTY}\x1b", "")])], [NASTY])
    assert "<script" not in html
    assert text_in(html) == NASTY
    assert "\x1b" not in html
    assert set(re.findall(r"<(\w+)", html)) == {"p", "mark", "span"}


def test_spans_can_be_read_on_every_page():
    """They have their own colours, because a notebook does not tell whether its theme is light or dark."""
    html = marked_html([MarkedText(TEXT, SPANS)], ["PER"])
    for color, ground in re.findall(r"<mark style=\"[^\"]*;color:(#\w+);background:(#\w+)\"", html):
        assert contrast(color, ground) >= 4.5
    assert min(contrast(TEXT_ON_LIGHT, GREY.light_fill), contrast(GREY.light_ink, GREY.light_fill)) >= 4.5


def test_very_much_text_is_cut():
    long = MarkedText("a" * 50_000, [TextSpan(0, 1, "X"), TextSpan(40_000, 40_001, "Y")])
    html = marked_html([long], ["X", "Y"])
    assert len(html) < 25_000
    assert (text_in(html)[-1], html.count("<mark")) == ("…", 1)
    many = marked_html([MarkedText("a", [])] * 60, [])
    assert many.count("<p dir") == 50
    assert "10 more texts not shown." in many
    assert "no texts" in marked_html([], [])
