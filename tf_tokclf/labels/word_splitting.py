"""Split raw text into words with their exact positions.

Training and prediction must split text in the same way, so the rule is saved with the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence

if TYPE_CHECKING:
    from regex import Pattern

DEFAULT_RULE = "words"

# Scripts without spaces between words: each character, with its combining marks, is a word.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_PATTERNS = {
    "words": (
        rf"[{_UNSPACED}][\p{{M}}\u200c\u200d]*"
        rf"|(?:(?![{_UNSPACED}])[\p{{L}}\p{{M}}\p{{N}}_\u00ad\u200c\u200d])+"
        r"|\S"
    ),
    "whitespace": r"\S+",
    "characters": r"\S\p{M}*",
}

RULES = tuple(_PATTERNS)


def split_words(text: str, rule: str = DEFAULT_RULE) -> tuple[tuple[int, int], ...]:
    """The [start, end) of each word of `text`, in code points.

    rule: "words": a sequence of letters, marks, digits and `_` is a word, and so is any other single character. In
    scripts without spaces between words (Chinese, Japanese, Thai ...), each character is a word. "whitespace": split at
    white space only. "characters": each character is a word.

    >>> text = "Don't go to 東京!"
    >>> [text[start:end] for start, end in split_words(text)]
    ['Don', "'", 't', 'go', 'to', '東', '京', '!']
    """
    return tuple(match.span() for match in _pattern(rule).finditer(text))


def word_offsets(words: Sequence[str], text: str) -> tuple[tuple[int, int], ...] | None:
    """The [start, end) of each word in the text; None if the text does not consist of these words.

    >>> word_offsets(["Oslo", ",", "1999"], "Oslo, 1999"), word_offsets(["Rome"], "Oslo")
    (((0, 4), (4, 5), (6, 10)), None)
    """
    found, at = [], 0
    for word in words:
        start = text.find(word, at)
        if start < 0 or text[at:start].strip():
            return None
        at = start + len(word)
        found.append((start, at))
    return None if text[at:].strip() else tuple(found)


def rule_keeping(words: Iterable[str]) -> str:
    """The rule that most likely splits raw text into words like these, which were split by another tool.

    "words" would cut words that contain punctuation (`can't`, `@ada`), and "whitespace" would leave single punctuation
    marks (`,`) attached to their neighbours. The rule with fewer such errors is chosen. "characters" is chosen if every
    word is a single character and some are from a script without spaces between words.

    >>> rule_keeping(["Ada", "left", ",", "sadly", "."]), rule_keeping(["play", "what's", "new"])
    ('words', 'whitespace')
    """
    n_cut = n_signs = 0
    all_single, has_unspaced = True, False
    for word, n in Counter(words).items():
        all_single = all_single and len(split_words(word, "characters")) == 1
        if _unspaced().search(word):
            # No rule finds the words of these scripts; splitting at white space would give whole clauses.
            has_unspaced = True
            continue
        n_cut += n * (len(split_words(word, "words")) > 1)
        n_signs += n * (not any(char.isalnum() or char == "_" for char in word))
    if all_single and has_unspaced:
        return "characters"
    return "words" if n_cut <= n_signs else "whitespace"


@cache
def _unspaced() -> Pattern[str]:
    import regex

    return regex.compile(rf"[{_UNSPACED}]")


@cache
def _pattern(rule: str) -> Pattern[str]:
    import regex

    if rule not in _PATTERNS:
        raise UserError(f"{rule!r} is not a rule for splitting words.", hint=f"Choose one of {', '.join(_PATTERNS)}.")
    return regex.compile(_PATTERNS[rule])


def text_sentence(text: str, rule: str, origin: Origin | None = None, document: str | None = None) -> Sentence:
    """Split a text into words and return it as a sentence with the words' offsets.

    >>> text_sentence("Oslo, 1999", "words").words
    ('Oslo', ',', '1999')
    """
    offsets = split_words(text, rule)
    words = tuple(text[start:end] for start, end in offsets)
    return Sentence(words, None, origin, text=text, offsets=offsets, document=document)
