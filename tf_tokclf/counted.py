"""Numbers of things in messages: "1 word", "2 words"."""

from __future__ import annotations


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """`n` with its noun, in the singular where it is one. plural: where that is not the noun with an s.

    >>> counted(1, "word"), counted(1_000, "word"), counted(0, "entry", "entries")
    ('1 word', '1,000 words', '0 entries')
    """
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"
