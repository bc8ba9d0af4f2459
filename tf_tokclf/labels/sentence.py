"""What the data is made of: sentences of labelled words that remember where they come from, and spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A typed run of words; `end` is the first word after it.

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
    """Where a sentence comes from: a file and the line (or, in tables, the row) it begins at, from 1."""

    path: str
    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.path}, {self.unit} {self.number}"

    def error(self, problem: str, hint: str | None = None) -> UserError:
        """A `UserError` that names this place."""
        return UserError(problem, path=self.path, hint=hint, **{self.unit: self.number})


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words in order, with a label each, or none where the source has no labels.

    text, offsets: the text the words were cut from, and each word's [start, end) in it, in code points;
    None where the source has words only. document: sentences of one document carry the same name. unlabelled: positions
    of the words that have no label although others have one. `labels` holds O there, and neither training nor scores
    count these words.
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
    """The values, one for each word, of the words that have a label.

    >>> of_labelled_words(Sentence(("a", "b"), ("O", "O"), unlabelled=(0,)), ("a", "b"))
    ('b',)
    """
    if not sentence.unlabelled:
        return values
    missing = set(sentence.unlabelled)
    return tuple(value for position, value in enumerate(values) if position not in missing)


def text_of(sentence: Sentence) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text of a sentence and the places of its words; where the source has no text, words with blanks
    between.

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
