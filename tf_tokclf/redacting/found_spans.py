"""The spans to redact: their types, where they come from, and their union."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FoundSpan:
    """The characters [start, end) of a text, with their type. source: "model", "pattern" or "deny"."""

    start: int
    end: int
    type: str
    source: str


def merged(spans: Iterable[FoundSpan]) -> list[FoundSpan]:
    """The union of the spans, in order, without overlaps.

    Overlapping spans become one, with the type and source of the longest, or of the first among equals. Spans that only
    touch stay apart.

    >>> merged([FoundSpan(0, 3, "PER", "model"), FoundSpan(2, 9, "ORG", "deny"), FoundSpan(9, 10, "X", "pattern")])
    [FoundSpan(start=0, end=9, type='ORG', source='deny'), FoundSpan(start=9, end=10, type='X', source='pattern')]
    """
    groups: list[tuple[int, int, FoundSpan]] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if groups and span.start < groups[-1][1]:
            start, end, best = groups[-1]
            longer = span.end - span.start > best.end - best.start
            groups[-1] = start, max(end, span.end), span if longer else best
        else:
            groups.append((span.start, span.end, span))
    return [FoundSpan(start, end, best.type, best.source) for start, end, best in groups]


def same_name(surface: str) -> str:
    """The form in which two spellings of a name are the same: Unicode NFC, case folding, and single spaces.

    >>> same_name("Ada\\n LOVELACE") == same_name("ada lovelace")
    True
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", surface).casefold())
    return " ".join(folded.split())
