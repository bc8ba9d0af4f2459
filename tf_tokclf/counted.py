"""Numbers of things in messages: "1 word", "2 words"."""

from __future__ import annotations

import re

_PLURAL = re.compile(r"(annotation|label|line|record|row|sentence|span|text|word)s\b")


def counted(n: float, noun: str, plural: str | None = None) -> str:
    """`n` and its noun in singular or plural. plural: needed if it is not the noun with an s.

    >>> counted(1, "word"), counted(1_000, "word"), counted(0, "entry", "entries"), counted(1.5, "epoch")
    ('1 word', '1,000 words', '0 entries', '1.5 epochs')
    """
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def counted_kind(n: int, kind: str) -> str:
    """`n` and a description that begins with a noun in the plural, which becomes the singular if n is 1.

    >>> counted_kind(1, "records left out: not annotated"), counted_kind(2, "spans given twice")
    ('1 record left out: not annotated', '2 spans given twice')
    """
    singular = _PLURAL.sub(r"\1", kind, count=1) if _PLURAL.match(kind) else kind
    return f"{n:,} {singular if n == 1 else kind}"
