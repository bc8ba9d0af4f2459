"""Checks of words: invisible characters, words of white space, empty sentences, words without subword tokens."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.data.splits import Split
from tf_tokclf.inspection.hashed_split import word_batches
from tf_tokclf.inspection.problem import (
    N_EXAMPLES,
    UNSEEN,
    Inspected,
    Level,
    Problem,
    ProblemKind,
    listed_counts,
    listing,
    spelled,
)

# A larger share of unknown subword tokens means that the vocabulary does not suit the language or the casing.
UNKNOWN_RATE = 0.01


# Characters that are invisible, but change the subword tokens. Joiners are not included: scripts and emoji need them.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufeff\uffa0\ufff0-\ufffd\U000e0000-\U000e007f]"
)


# Direction marks and typographic spaces sometimes occur in correct text; the other characters hardly ever do.
_HARMLESS = re.compile("[\u00a0\u061c\u2000-\u200a\u200e\u200f\u202a-\u202f\u205f\u2066-\u2069\u3000]")


# Control characters have no name in Unicode.
_NAMES = {"\t": "TAB", "\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\x1b": "ESCAPE", "\x00": "NULL"}


@dataclass
class _WordFindings:
    """Invisible characters in a split's words.

    hidden: character -> number of words. places: character -> flat position of the first such word. n_white: number of
    words of white space. blank: (words,) bool.
    """

    hidden: Counter[str]
    places: dict[str, int]
    n_hidden_words: int
    n_white: int
    blank: np.ndarray


def word_problems(data: Inspected) -> Iterator[Problem]:
    for number, split in enumerate(data.splits):
        found = _look_at_words(split, data.coded[number].n_words)
        yield from _hidden_characters(data, number, found)
        yield from _white_words(data, number, found)
        yield from _blank_spans(data, number, found.blank)


def _look_at_words(split: Split, n_words: int) -> _WordFindings:
    found = _WordFindings(Counter(), {}, 0, 0, np.zeros(n_words, bool))
    at = 0
    for batch in word_batches(split):
        counts = np.bincount(batch.codes, minlength=len(batch.distinct))
        blank = np.array([is_blank(word) for word in batch.distinct], bool)
        found.blank[at : at + len(batch.codes)] = blank[batch.codes]
        found.n_white += sum(int(counts[i]) for i in np.flatnonzero(blank) if _is_white(batch.distinct[i]))
        if _HIDDEN.search("".join(batch.distinct)):
            for code, word in enumerate(batch.distinct):
                characters = set() if _is_white(word) else set(_HIDDEN.findall(word))
                found.n_hidden_words += int(counts[code]) if characters else 0
                for character in characters:
                    found.hidden[character] += int(counts[code])
                    if character not in found.places:
                        found.places[character] = at + int(np.argmax(batch.codes == code))
        at += len(batch.codes)
    return found


def _is_white(word: str) -> bool:
    return not word or word.isspace()


def is_blank(word: str) -> bool:
    return _is_white(word) or all(unicodedata.category(c) in UNSEEN for c in word)


def _hidden_characters(data: Inspected, number: int, found: _WordFindings) -> Iterator[Problem]:
    if not found.hidden:
        return
    harmful = [character for character in found.hidden if not _HARMLESS.match(character)]
    listed = [f"{_character_name(c)} in {n:,}" for c, n in found.hidden.most_common(N_EXAMPLES)]
    shown = sorted(found.hidden, key=lambda c: (c not in harmful, -found.hidden[c]))[:N_EXAMPLES]
    yield Problem(
        ProblemKind.INVISIBLE_CHARACTER,
        Level.WARNING if harmful else Level.NOTE,
        f"{data.coded[number].name}: {counted(found.n_hidden_words, 'word')} with invisible characters: "
        f"{listing(listed, len(found.hidden))}.",
        found.n_hidden_words,
        "Words that look the same then have different subword tokens. Remove these characters before labelling.",
        tuple(data.example_at(number, found.places[c], found.places[c] + 1) for c in shown),
    )


def _character_name(character: str) -> str:
    name = unicodedata.name(character, _NAMES.get(character, "control character"))
    return f"U+{ord(character):04X} {name}"


def _white_words(data: Inspected, number: int, found: _WordFindings) -> Iterator[Problem]:
    if found.n_white:
        yield Problem(
            ProblemKind.WHITESPACE_WORD,
            Level.NOTE,
            f"{data.coded[number].name}: {counted(found.n_white, 'word')} of white space only "
            f"({100 * found.n_white / data.coded[number].n_words:.1f} % of all words).",
            found.n_white,
            f"Most tokenizers ignore them. The model then does not see them, and they get the label "
            f"{data.labels.fallback}.",
        )


def _blank_spans(data: Inspected, number: int, blank: np.ndarray) -> Iterator[Problem]:
    if not blank.any():
        return
    split = data.coded[number]
    whole: list[tuple[int, int]] = []
    edges: list[tuple[int, int]] = []
    for spans in split.spans(data.labels):
        suspects = np.flatnonzero(blank[spans.starts] | blank[spans.ends - 1])
        for start, end in zip(spans.starts[suspects].tolist(), spans.ends[suspects].tolist()):
            (whole if blank[start:end].all() else edges).append((start, end))
    for places, level, what in (
        (whole, Level.ERROR, "of white space only"),
        (edges, Level.WARNING, "with white space at the start or end"),
    ):
        if places:
            yield Problem(
                ProblemKind.WHITESPACE_SPAN,
                level,
                f"{split.name}: {counted(len(places), 'span')} {what}.",
                len(places),
                "Label only the visible words.",
                tuple(data.example_at(number, start, end) for start, end in places[:N_EXAMPLES]),
            )


def empty_sentences(data: Inspected) -> Iterator[Problem]:
    for number, split in enumerate(data.coded):
        rows = np.flatnonzero(np.diff(split.starts) == 0)
        if len(rows):
            yield Problem(
                ProblemKind.EMPTY_SENTENCE,
                Level.WARNING,
                f"{split.name}: {counted(len(rows), 'sentence')} without words.",
                len(rows),
                "They have no effect. Remove them.",
                tuple(data.example(number, row) for row in rows[:N_EXAMPLES].tolist()),
            )


def piece_problems(data: Inspected) -> Iterator[Problem]:
    for split in data.statistics:
        if split.pieces is None:
            continue
        without = {spelled(w): n for w, n in split.pieces.words_without.items() if not is_blank(w)}
        if without:
            n = sum(without.values())
            yield Problem(
                ProblemKind.WORD_WITHOUT_PIECE,
                Level.WARNING,
                f"{split.name}: {counted(n, 'word')} without a subword token: {listed_counts(without)}.",
                n,
                f"The model does not see them, and they get the label {data.labels.fallback}.",
            )
        if split.pieces.unknown_rate >= UNKNOWN_RATE:
            yield Problem(
                ProblemKind.UNKNOWN_PIECES,
                Level.WARNING,
                f"{split.name}: {100 * split.pieces.unknown_rate:.1f} % of the subword tokens are unknown.",
                split.pieces.n_unknown,
                "Choose a model whose vocabulary covers this language and script.",
            )
