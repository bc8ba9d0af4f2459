"""Colours of types for marked spans, the same on all pages, and escaping of text that would disturb a page."""

from __future__ import annotations

from collections.abc import Iterable
from colorsys import hls_to_rgb
from dataclasses import dataclass
from itertools import count
from typing import Any

from tf_tokclf.control_characters import plain_text

# Characters that reorder or hide the text around them.
_BIDI = dict.fromkeys((*range(8234, 8239), *range(8294, 8298)), "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True)
class Colour:
    """The CSS colours of a marked span (fill) and the name of its type (ink), on a light and on a dark page."""

    light_fill: str
    dark_fill: str
    light_ink: str
    dark_ink: str


# Of a type without a colour of its own.
GREY = Colour("#e3e4e7", "#3a3c40", "#45474c", "#e3e4e7")
# The text on every `light_fill`, as in marks.css.
TEXT_ON_LIGHT = "#1b1c1e"


def colours(n: int) -> list[Colour]:
    """`n` colours with different fills.

    The contrast of text and ink on a fill is at least 4.5 (WCAG AA), which tests check for up to 5,000 colours.

    >>> colours(2)[1].light_fill
    '#e4f2b0'
    """
    found: list[Colour] = []
    used: set[str] = set()
    for i in count():
        if len(found) == n:
            return found
        # The fractional parts of multiples of an irrational number are spread evenly for any n: the golden ratio for
        # the hue, since its neighbours differ most, and two other numbers for saturation and lightness.
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
    """A colour for each type. The name of the type is always shown next to the colour.

    >>> colours = TypeColours(["PER", "LOC"])
    >>> colours.css_class("PER")
    'c1'
    >>> colours.rules(["PER"])
    '.c1 { --light: #e4f2b0; --dark: #516017; --light-ink: #48570f; --dark-ink: #f0f7d4; }'
    """

    def __init__(self, types: Iterable[str]) -> None:
        self._number_by_type = {type_: i for i, type_ in enumerate(sorted(set(types)))}
        self._colours = colours(len(self._number_by_type))

    def colour(self, type_: str) -> Colour:
        """The colours of a type; grey for an unknown type."""
        number = self._number_by_type.get(type_)
        return GREY if number is None else self._colours[number]

    def css_class(self, type_: str) -> str:
        """The CSS class of a type; empty for an unknown type."""
        return f"c{self._number_by_type[type_]}" if type_ in self._number_by_type else ""

    def rules(self, types: Iterable[str]) -> str:
        """The CSS rules for `types`, in addition to marks.css."""
        numbers = sorted({self._number_by_type[type_] for type_ in types})
        return "\n".join(_rule(f"c{number}", self._colours[number]) for number in numbers)


def _rule(name: str, colour: Colour) -> str:
    return (
        f".{name} {{ --light: {colour.light_fill}; --dark: {colour.dark_fill}; "
        f"--light-ink: {colour.light_ink}; --dark-ink: {colour.dark_ink}; }}"
    )


def visible(text: Any) -> str:
    """`text` with control characters, and characters that reorder text, replaced."""
    return plain_text(str(text)).translate(_BIDI)
