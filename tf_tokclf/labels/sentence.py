"""Sentences of words with labels and their origin, and spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A typed sequence of words; `end` is the index after its last word.

    >>> Span(0, 2, "LOC").length
    2
    """

    start: int
    end: int
    type: str

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"a span needs 0 <= start < end, not {self.start}, {self.end}")

    @property
    def length(self) -> int:
        """Number of words."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a sentence: a file, and the line (in tables, the row) where it starts, counted from 1."""

    path: str
    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.path}, {self.unit} {self.number}"

    def error(self, problem: str, hint: str | None = None) -> UserError:
        """A `UserError` with this file and line or row."""
        return UserError(problem, path=self.path, hint=hint, **{self.unit: self.number})


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sequence of words with one label per word, or without labels.

    Attributes:
        words: The words.
        labels: One label per word, or None.
        origin: The file and the line or row of the sentence.
        text: The text from which the words were split. None if the source has words only.
        offsets: The `(start, end)` of each word in `text`, in code points.
        document: The same name for all sentences of a document.
        unlabelled: Positions of words without a label in a sentence that has labels. Their entry in `labels` is O, and
            they count neither in training nor in scores.
    """

    words: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    origin: Origin | None = None
    text: str | None = None
    offsets: tuple[tuple[int, int], ...] | None = None
    document: str | None = None
    unlabelled: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.labels is not None and len(self.labels) != len(self.words):
            problem = f"{counted(len(self.words), 'word')} but {counted(len(self.labels), 'label')}."
            hint = "Each word needs exactly one label."
            raise self.origin.error(problem, hint) if self.origin else UserError(problem, hint=hint)
        if self.offsets is not None and len(self.offsets) != len(self.words):
            raise ValueError(f"{counted(len(self.words), 'word')} but {counted(len(self.offsets), 'offset')}")

    def __len__(self) -> int:
        return len(self.words)


def of_labelled_words(sentence: Sentence, values: Sequence[Value]) -> Sequence[Value]:
    """Select the values of labelled words. values: one per word of the sentence.

    >>> of_labelled_words(Sentence(("a", "b"), ("O", "O"), unlabelled=(0,)), ("a", "b"))
    ('b',)
    """
    if not sentence.unlabelled:
        return values
    missing = set(sentence.unlabelled)
    return tuple(value for position, value in enumerate(values) if position not in missing)


def text_of(sentence: Sentence) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text of a sentence and the [start, end) of each word in it.

    If the source has no text, the text is the words joined by spaces.

    >>> text_of(Sentence(("New", "York")))
    ('New York', ((0, 3), (4, 8)))
    """
    if sentence.text is not None and sentence.offsets is not None:
        return sentence.text, sentence.offsets
    offsets, at = [], 0
    for word in sentence.words:
        offsets.append((at, at + len(word)))
        at += len(word) + 1
    return " ".join(sentence.words), tuple(offsets)
