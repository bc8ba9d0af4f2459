"""Spans of text in colour, alike in every page: the colours of their types, and text that cannot disturb a page."""

from __future__ import annotations

from collections.abc import Iterable
from colorsys import hls_to_rgb
from dataclasses import dataclass
from itertools import count
from typing import Any

from tf_tokclf.control_characters import plain_text

# What reorders or hides text around it.
_BIDI = dict.fromkeys((*range(8234, 8239), *range(8294, 8298)), "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True)
class Colour:
    """The fill of a marked span and the ink of its type, on a light page and on a dark one, as CSS has them."""

    light_fill: str
    dark_fill: str
    light_ink: str
    dark_ink: str


def colours(n: int) -> list[Colour]:
    """So many colours of which no two have the same fill.

    Text on a fill, and ink on its fill, have a contrast of at least 4.5 (WCAG AA); tests check it up to 5,000.

    >>> colours(2)[1].light_fill
    '#e4f2b0'
    """
    found: list[Colour] = []
    used: set[str] = set()
    for i in count():
        if len(found) == n:
            return found
        # Multiples of irrational numbers spread evenly, however many there are: of the golden ratio for the hue, which
        # differs most between neighbours, and of two others for saturation and lightness.
        hue, saturation, lightness = 0.5833 + 0.618034 * i, 0.5698 * i % 1, 0.7549 * i % 1
        light_fill = _hex(hue, 0.55 + 0.3 * saturation, 0.88 - 0.08 * lightness)
        dark_fill = _hex(hue, 0.45 + 0.3 * saturation, 0.18 + 0.07 * lightness)
        if used.isdisjoint((light_fill, dark_fill)):
            used |= {light_fill, dark_fill}
            found.append(Colour(light_fill, dark_fill, _hex(hue, 0.7, 0.2), _hex(hue, 0.7, 0.9)))
    raise AssertionError("counting never ends")


def _hex(hue: float, saturation: float, lightness: float) -> str:
    red, green, blue = (round(255 * part) for part in hls_to_rgb(hue % 1, lightness, saturation))
    return f"#{red:02x}{green:02x}{blue:02x}"


class TypeColours:
    """A colour of its own for each type; the name is always written beside it.

    >>> colours = TypeColours(["PER", "LOC"])
    >>> colours.css_class("PER")
    'c1'
    >>> colours.rules(["PER"])
    '.c1 { --light: #e4f2b0; --dark: #516017; --light-ink: #48570f; --dark-ink: #f0f7d4; }'
    """

    def __init__(self, types: Iterable[str]) -> None:
        self._number_by_type = {type_: i for i, type_ in enumerate(sorted(set(types)))}
        self._colours = colours(len(self._number_by_type))

    def css_class(self, type_: str) -> str:
        """The class of a type's marks; none for a type that is not among them."""
        return f"c{self._number_by_type[type_]}" if type_ in self._number_by_type else ""

    def rules(self, types: Iterable[str]) -> str:
        """The style of the marks of `types`; marks.css has the rest."""
        numbers = sorted({self._number_by_type[type_] for type_ in types})
        return "\n".join(_rule(f"c{number}", self._colours[number]) for number in numbers)


def _rule(name: str, colour: Colour) -> str:
    return (
        f".{name} {{ --light: {colour.light_fill}; --dark: {colour.dark_fill}; "
        f"--light-ink: {colour.light_ink}; --dark-ink: {colour.dark_ink}; }}"
    )


def visible(text: Any) -> str:
    """`text` without characters that would command a terminal, or reorder the text around it."""
    return plain_text(str(text)).translate(_BIDI)
