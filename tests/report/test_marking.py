"""Colours of types: each is used once, and text on them is readable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tf_tokclf.report.marking import TypeColours, colours

CSS = Path(__file__).parent.parent.parent / "tf_tokclf" / "report" / "templates" / "marks.css"


def luminance(colour: str) -> float:
    """The relative luminance of a colour such as #1b1c1e, as defined in WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("n", [0, 1, 13, 100, 5000])
def test_no_two_types_share_a_colour(n: int):
    found = colours(n)
    assert len({one.light_fill for one in found}) == len({one.dark_fill for one in found}) == n


def test_text_and_types_can_be_read_on_every_colour():
    light_text, dark_text = re.findall(r"--text: (#[0-9a-f]{6});", CSS.read_text(encoding="utf-8"))
    for one in colours(5000):
        assert contrast(light_text, one.light_fill) >= 4.5
        assert contrast(dark_text, one.dark_fill) >= 4.5
        assert contrast(one.light_ink, one.light_fill) >= 4.5
        assert contrast(one.dark_ink, one.dark_fill) >= 4.5


def test_a_type_keeps_its_colour_whichever_are_shown():
    types = [f"T{i:03}" for i in range(100)]
    all_rules = TypeColours(types).rules(types).splitlines()
    assert len(all_rules) == len(set(all_rules)) == 100
    assert TypeColours(reversed(types)).rules(["T007", "T099", "T007"]).splitlines() == [all_rules[7], all_rules[99]]


def test_a_type_that_is_not_among_them_has_no_colour():
    assert TypeColours(["LOC"]).css_class("PER") == ""
