"""Raw text into words with their exact places. Training and prediction have to use the same rule: it is saved
with the model.
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

# Scripts without blanks between words: there each character is a word, with the marks that belong to it.
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

    words: runs of letters, marks, digits and `_`; every other sign stands alone, and so does each character
    of scripts without blanks (Chinese, Japanese, Thai ...). whitespace: what stands between white space.
    characters: each one.

    >>> text = "Don't go to 東京!"
    >>> [text[start:end] for start, end in split_words(text)]
    ['Don', "'", 't', 'go', 'to', '東', '京', '!']
    """
    return tuple(match.span() for match in _pattern(rule).finditer(text))


def word_offsets(words: Sequence[str], text: str) -> tuple[tuple[int, int], ...] | None:
    """The [start, end) of each word in a text that consists of these words; None where it consists of others.

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
    """The rule under which raw text most likely falls into words such as these, which were split by somebody
    else.

    Each rule is held against what it would get wrong: "words" would cut a word with a sign in it (`can't`,
    `@ada`), and "whitespace" would leave a sign that stands alone (`,`) stuck to its neighbour. The rule with
    fewer such words is taken. "characters" it is where every word is one character, and some are of a script
    without blanks.

    >>> rule_keeping(["Ada", "left", ",", "sadly", "."]), rule_keeping(["play", "what's", "new"])
    ('words', 'whitespace')
    """
    n_cut = n_signs = 0
    all_single, has_unspaced = True, False
    for word, n in Counter(words).items():
        all_single = all_single and len(split_words(word, "characters")) == 1
        if _unspaced().search(word):
            # No rule finds the words of these scripts; whitespace would find whole clauses.
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
        raise UserError(f"there is no rule {rule!r} to split words by.", hint=f"Known are {', '.join(_PATTERNS)}.")
    return regex.compile(_PATTERNS[rule])


def text_sentence(text: str, rule: str, origin: Origin | None = None, document: str | None = None) -> Sentence:
    """A text as a sentence of words with their places in it.

    >>> text_sentence("Oslo, 1999", "words").words
    ('Oslo', ',', '1999')
    """
    offsets = split_words(text, rule)
    words = tuple(text[start:end] for start, end in offsets)
    return Sentence(words, None, origin, text=text, offsets=offsets, document=document)
