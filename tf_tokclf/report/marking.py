"""Spans of text in colour, alike in every page: what to call their colours, and text that cannot disturb a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tf_tokclf.control_characters import plain_text

# marks.css has so many.
HUES = 12
# What reorders or hides text around it.
_BIDI = dict.fromkeys((*range(8234, 8239), *range(8294, 8298)), "\N{REPLACEMENT CHARACTER}")


def hue_by_type(types: Iterable[str]) -> dict[str, int]:
    """A colour for each type; the name is always written beside it.

    >>> hue_by_type(["PER", "LOC"])
    {'LOC': 0, 'PER': 1}
    """
    return {type_: i % HUES for i, type_ in enumerate(sorted(types))}


def visible(text: Any) -> str:
    """`text` without characters that would command a terminal, or reorder the text around it."""
    return plain_text(str(text)).translate(_BIDI)
