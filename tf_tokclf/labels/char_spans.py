"""Convert character spans to word spans and back, with a policy for spans that do not match the words."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Span

Offsets = Sequence[tuple[int, int]]

OFFSET_UNITS = ("codepoint", "utf16", "byte")
# Largest distance, in characters, at which the text of a misplaced span is searched for.
NEARBY = 50


@dataclass(frozen=True, slots=True, order=True)
class CharSpan:
    """A typed part of a text, text[start:end] in code points. surface: the span's text according to the source."""

    start: int
    end: int
    type: str
    surface: str | None = None


@dataclass(frozen=True)
class SpanRules:
    """How character spans are read.

    policy: what to do with spans that begin or end inside a word, overlap, or have white space at their ends. `fail`
        raises an error.
    `drop` leaves them out. `expand` extends them to all words that they touch. `contract` reduces them to the words
    that they cover completely. With the last three, the longest of several overlapping spans is kept (the first one
    if they have the same length).
    layer: read only this layer of nested spans, 0 being the outermost; nesting is then not an error.
    unit, inclusive_end: how the source counts offsets.
    skip: with `fail`, leave out a single span that cannot be read, or remove the white space at its ends, instead of
    raising an error.

    With `skip`, and with every policy except `fail`, a span whose offsets do not match its text is moved to that text
    if the text occurs exactly once nearby.
    """

    policy: str = "fail"
    layer: int | None = None
    unit: str = "codepoint"
    inclusive_end: bool = False
    skip: bool = False

    def word_spans(
        self, spans: Iterable[CharSpan], text: str, offsets: Offsets, origin: Origin, counts: Counter[str]
    ) -> list[Span]:
        """The spans as word spans, sorted and without overlaps. offsets: the [start, end) of each word.

        Every change that the policy makes is added to `counts`.
        """
        fitted = []
        for span in self.placed(spans, text, origin, counts):
            if found := self._fit(span, text, offsets, origin, counts):
                fitted.append(found)
        return self.one_layer(fitted, text, offsets, origin, counts)

    def placed(self, spans: Iterable[CharSpan], text: str, origin: Origin, counts: Counter[str]) -> list[CharSpan]:
        """The spans, sorted, with offsets in code points and exclusive ends, each covering its own text."""
        positions = _position_map(text, self.unit)
        found = []
        for span in spans:
            start, end = _in_codepoints(span, positions, self.inclusive_end)
            inside = 0 <= start < end <= len(text)
            if inside and (span.surface is None or _same_text(text[start:end], span.surface)):
                found.append(CharSpan(start, end, span.type, span.surface))
            elif self._is_lenient and (moved := _moved(span, start if start >= 0 else span.start, text)):
                counts["spans moved to the nearby place where the text occurs"] += 1
                found.append(moved)
            elif inside:
                shown = CharSpan(start, end, span.type, span.surface)
                self._refuse(self._surface_error(shown, text, origin), drop=self.skip or self.policy == "drop")
                counts["spans dropped: another text at the offsets"] += 1
            else:
                self._refuse(_outside_error(span, text, origin), drop=self.skip)
                counts["spans dropped: offsets outside the text"] += 1
        return sorted(found, key=lambda span: (span.start, -span.end))

    @property
    def _is_lenient(self) -> bool:
        """Whether a span that cannot be read is corrected or left out instead of raising an error."""
        return self.skip or self.policy != "fail"

    def _fit(self, span: CharSpan, text: str, offsets: Offsets, origin: Origin, counts: Counter[str]) -> Span | None:
        start, end = _trimmed(span, text)
        # The words are sorted, so bisection finds the first and last word that the span touches.
        touched = range(bisect_right(offsets, start, key=itemgetter(1)), bisect_left(offsets, end, key=itemgetter(0)))
        whole = range(bisect_left(offsets, start, key=itemgetter(0)), bisect_right(offsets, end, key=itemgetter(1)))
        cuts = not touched or (offsets[touched[0]][0], offsets[touched[-1]][1]) != (start, end)
        if not cuts and (start, end) == (span.start, span.end):
            return Span(touched[0], touched[-1] + 1, span.type)
        self._refuse(self._misfit_error(span, text, offsets, touched, origin), drop=self._is_lenient)
        kept = touched if self.policy == "expand" else whole
        if not touched:
            counts["spans dropped: no word inside"] += 1
            return None
        if cuts and (not kept or self.policy in ("drop", "fail")):
            counts["spans dropped: not at word borders"] += 1
            return None
        if self.policy == "drop":
            counts["spans dropped: white space at the ends"] += 1
            return None
        if cuts:
            counts[f"spans {self.policy}ed to whole words"] += 1
        else:
            counts["spans trimmed: white space at the ends"] += 1
        return Span(kept[0], kept[-1] + 1, span.type)

    def one_layer(
        self, spans: list[Span], text: str, offsets: Offsets, origin: Origin, counts: Counter[str]
    ) -> list[Span]:
        """The spans without overlaps, as `policy` and `layer` require."""
        unique = list(dict.fromkeys(spans))
        if repeated := len(spans) - len(unique):
            counts["spans given twice"] += repeated
        layers = nested_layers(unique)
        if self.layer is not None:
            return layers[self.layer] if self.layer < len(layers) else []
        if len(layers) > 1:
            self._refuse(_overlap_error(layers[1][0], layers[0], text, offsets, origin), drop=self._is_lenient)
            counts["spans dropped: overlap with a longer span"] += sum(map(len, layers[1:]))
        return layers[0] if layers else []

    @staticmethod
    def _refuse(error: UserError, *, drop: bool) -> None:
        if not drop:
            raise error

    def _misfit_error(
        self, span: CharSpan, text: str, offsets: Offsets, touched: Sequence[int], origin: Origin
    ) -> UserError:
        shown = f"{span.type} {text[span.start : span.end]!r} ({span.start} to {span.end})"
        hint = "Correct it, or set a policy for such spans: --set data.span_policy=expand (or contract, drop)."
        if not touched:
            return origin.error(f"the span {shown} contains no word.", hint)
        words = " ".join(text[slice(*offsets[i])] for i in touched)
        if _trimmed(span, text) != (span.start, span.end):
            return origin.error(f"the span {shown} has white space at its ends.", hint)
        problem = f"the span {shown} begins or ends inside a word. The whole words are {words!r}."
        return origin.error(problem, hint)

    def _surface_error(self, span: CharSpan, text: str, origin: Origin) -> UserError:
        there = text[span.start : span.end]
        problem = f"the span {span.type} at {span.start} to {span.end} is {there!r}, not {span.surface!r}."
        hint = _unit_hint(span, text) or "Check the offsets, or leave such spans out: --set data.span_policy=drop."
        return origin.error(problem, hint)


def in_codepoints(
    spans: Iterable[CharSpan], text: str, *, unit: str, inclusive_end: bool, origin: Origin
) -> list[CharSpan]:
    """The spans, sorted, with offsets in code points and exclusive ends.

    Raises UserError for offsets outside the text.
    """
    positions = _position_map(text, unit)
    found = []
    for span in spans:
        start, end = _in_codepoints(span, positions, inclusive_end)
        if not 0 <= start < end <= len(text):
            raise _outside_error(span, text, origin)
        found.append(CharSpan(start, end, span.type, span.surface))
    return sorted(found, key=lambda span: (span.start, -span.end))


def _position_map(text: str, unit: str) -> dict[int, int] | None:
    """Offset in `unit` -> offset in code points; None if the two are the same for this text."""
    if unit == "codepoint" or text.isascii():
        return None
    return {at: i for i, at in enumerate(_positions(text, unit))}


def _in_codepoints(span: CharSpan, positions: dict[int, int] | None, inclusive_end: bool) -> tuple[int, int]:
    start, end = span.start, span.end + inclusive_end
    return (start, end) if positions is None else (positions.get(start, -1), positions.get(end, -1))


def _moved(span: CharSpan, start: int, text: str) -> CharSpan | None:
    """The span moved to its own text, if that text occurs exactly once near `start`; otherwise None.

    >>> _moved(CharSpan(5, 10, "LOC", "Paris"), 5, "in Paris")
    CharSpan(start=3, end=8, type='LOC', surface='Paris')
    """
    said = (span.surface or "").strip()
    first = max(start - NEARBY, 0)
    near = text[first : start + NEARBY + len(said)]
    if not said or near.count(said) != 1 or near.find(said) != near.rfind(said):
        return None
    at = first + near.find(said)
    return CharSpan(at, at + len(said), span.type, said)


def _outside_error(span: CharSpan, text: str, origin: Origin) -> UserError:
    length = counted(len(text), "character")
    problem = f"the span {span.type} ({span.start} to {span.end}) is not valid in a text of {length}."
    return origin.error(problem, "Check the offsets, their unit, and whether their ends are inclusive.")


def in_unit(offset: int, text: str, unit: str) -> int:
    """Convert an offset in code points to another unit.

    >>> in_unit(1, "😀!", "utf16"), in_unit(1, "😀!", "byte")
    (2, 4)
    """
    if unit == "codepoint":
        return offset
    return len(text[:offset].encode("utf-16-le")) // 2 if unit == "utf16" else len(text[:offset].encode())


def char_spans(spans: Iterable[Span], text: str, offsets: Offsets) -> list[CharSpan]:
    """Convert word spans to character spans.

    >>> char_spans([Span(0, 2, "LOC")], "New York!", [(0, 3), (4, 8), (8, 9)])
    [CharSpan(start=0, end=8, type='LOC', surface='New York')]
    """
    found = []
    for span in spans:
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        found.append(CharSpan(start, end, span.type, text[start:end]))
    return found


def nested_layers(spans: Iterable[Span]) -> list[list[Span]]:
    """Distribute spans over layers so that no spans of a layer overlap.

    The longest spans come first, and each goes into the first layer where it overlaps no other.

    >>> nested_layers([Span(0, 1, "ORG"), Span(0, 3, "LOC"), Span(4, 5, "PER")])
    [[Span(start=0, end=3, type='LOC'), Span(start=4, end=5, type='PER')], [Span(start=0, end=1, type='ORG')]]
    """
    layers: list[list[Span]] = []
    for span in sorted(spans, key=lambda span: (-span.length, span.start)):
        free = (layer for layer in layers if all(span.end <= other.start or other.end <= span.start for other in layer))
        layer = next(free, None)
        if layer is None:
            layers.append([span])
        else:
            layer.append(span)
    return [sorted(layer) for layer in layers]


def _positions(text: str, unit: str) -> list[int]:
    """The start of each code point and the end of the text, counted in `unit`."""
    return [0, *accumulate(in_unit(1, char, unit) for char in text)]


def _trimmed(span: CharSpan, text: str) -> tuple[int, int]:
    covered = text[span.start : span.end]
    start = span.start + len(covered) - len(covered.lstrip())
    return start, max(start, span.end - len(covered) + len(covered.rstrip()))


def _same_text(there: str, said: str) -> bool:
    """Whether the texts are equal apart from white space: some formats write a line break in a span as a space."""
    return there == said or there.split() == said.split()


def _overlap_error(span: Span, kept: Sequence[Span], text: str, offsets: Offsets, origin: Origin) -> UserError:
    other = next(other for other in kept if span.start < other.end and other.start < span.end)
    one, two = (f"{c.type} {c.surface!r}" for c in char_spans(sorted([span, other]), text, offsets))
    hint = (
        "Read one layer of nested spans with --set data.layer=0 (the outermost), or keep the longest span with "
        "--set data.span_policy=expand."
    )
    return origin.error(f"the spans {one} and {two} overlap.", hint)


def _unit_hint(span: CharSpan, text: str) -> str | None:
    """The offset unit and end convention with which the span covers its own text, as a hint for the user."""
    for unit in OFFSET_UNITS:
        positions = {at: i for i, at in enumerate(_positions(text, unit))}
        for inclusive in (0, 1):
            start, end = positions.get(span.start), positions.get(span.end + inclusive)
            if start is not None and end is not None and text[start:end] == span.surface:
                ends = "inclusive" if inclusive else "exclusive"
                return f"The offsets fit with --set data.offset_unit={unit} --set data.offset_end={ends}."
    return None
