"""Problems in labelled data, with examples, and the data that the checks read."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tf_tokclf.data.splits import Split
from tf_tokclf.inspection.hashed_split import HashedSplit
from tf_tokclf.inspection.statistics import SplitStatistics
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme

N_EXAMPLES = 5
# Unicode categories of invisible characters.
UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


class Level(StrEnum):
    """The severity of a problem. Only errors make `--strict` fail."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class ProblemKind(StrEnum):
    """The kinds of problems. The values are stable names, for `--json`."""

    INVALID_SEQUENCE = "invalid-sequence"
    OTHER_SCHEME = "other-scheme"
    NO_SPANS = "no-spans"
    UNSEEN_LABEL = "unseen-label"
    RARE_LABEL = "rare-label"
    LIKELY_SLIP = "likely-slip"
    UNKNOWN_LABEL = "unknown-label"
    CASE_TWINS = "case-twins"
    SHARED_SENTENCE = "shared-sentence"
    CONFLICTING_SENTENCE = "conflicting-sentence"
    CONFLICTING_FORM = "conflicting-form"
    INVISIBLE_CHARACTER = "invisible-character"
    WHITESPACE_SPAN = "whitespace-span"
    WHITESPACE_WORD = "whitespace-word"
    EMPTY_SENTENCE = "empty-sentence"
    WORD_WITHOUT_PIECE = "word-without-piece"
    UNKNOWN_PIECES = "unknown-pieces"


@dataclass(frozen=True)
class Example:
    """Words of the data with their labels and their position."""

    place: str
    words: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    """A problem. message: a complete sentence. count: number of occurrences. hint: what to do about it."""

    kind: ProblemKind
    level: Level
    message: str
    count: int
    hint: str = ""
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Inspected:
    """The input of the checks: the splits as they are on disk, as integers, and their statistics."""

    splits: tuple[Split, ...]
    coded: tuple[HashedSplit, ...]
    statistics: tuple[SplitStatistics, ...]
    labels: LabelSet

    @property
    def scheme(self) -> Scheme:
        return self.labels.scheme

    @property
    def train(self) -> tuple[SplitStatistics, ...]:
        """The training split; empty if only other splits are inspected."""
        return tuple(split for split in self.statistics if split.name == "train")

    def example(self, split: int, sentence: int, first: int = 0, last: int | None = None) -> Example:
        """The words from `first` to `last` of a sentence, with the position of the sentence."""
        row = self.splits[split].table.slice(sentence, 1).to_pylist()[0]
        place = f"{row['path']}, {row['unit']} {row['number']}" if row["path"] else f"sentence {sentence + 1}"
        return Example(place, tuple(row["words"][first:last]), tuple(row["labels"][first:last]))

    def example_at(self, split: int, start: int, end: int, around: int = 3) -> Example:
        """The words at the flat positions from `start` to `end` of a split, with `around` words on each side."""
        sentence, first = self.coded[split].sentence_of(start)
        shown = self.example(split, sentence, max(first - around, 0), first + end - start + around)
        return replace(shown, place=f"{shown.place}, word {first + 1}")


def spelled(word: str) -> str:
    """The word, or the code points of its characters if none of them is visible on its own."""
    if all(unicodedata.category(c) in UNSEEN | {"Mn", "Me"} for c in word):
        return " ".join(f"U+{ord(c):04X}" for c in word)
    return word


def listing(names: Sequence[str], n: int) -> str:
    """The names, followed by the number of names that are not shown. n: number of names in total."""
    return ", ".join(names) + (f" and {n - len(names):,} more" if n > len(names) else "")


def listed_counts(counts: Mapping[str, int], limit: int = 8) -> str:
    """The most frequent names with their counts.

    >>> listed_counts({"B-LOC": 2, "O": 10})
    'O 10, B-LOC 2'
    """
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return listing([f"{name} {n:,}" for name, n in ranked[:limit]], len(ranked))
