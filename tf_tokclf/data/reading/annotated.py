"""Texts or words with what annotators said about them.

Every format of records comes down to this: a text with spans of characters, or words with spans or labels, by no
annotator (not annotated), by one, or by several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.data.reading.base import Changes
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin, Sentence

Record = Mapping[str, Any]


WordSpan = tuple[int, int, str | int]


@dataclass(frozen=True)
class SpanReader:
    """How single spans of a record are read. skip: bad ones are left out and counted; label_names: names of ids."""

    origin: Origin
    changes: Changes
    skip: bool = False
    label_names: tuple[str, ...] | None = None

    def drop(self, error: UserError, what: str) -> None:
        """Raise `error`, or count the span where bad ones are left out."""
        if not self.skip:
            raise error
        self.changes.note(what, self.origin)

    def type_name(self, type: str | int) -> str:
        """The name of a span's type; an id takes the name that the options give it."""
        if isinstance(type, str):
            return type
        if self.label_names is None:
            self.changes.note("spans whose type is an id without a name (data.label_names gives names)", self.origin)
            return str(type)
        if not 0 <= type < len(self.label_names):
            hint = f"There are {counted(len(self.label_names), 'label')}, from id 0."
            raise self.origin.error(f"there is no label with id {type}.", hint)
        return self.label_names[type]


@dataclass(frozen=True)
class Annotation:
    """What one annotator said. read_spans: the spans of characters, read when they are asked for, so that a fault in an
    annotation that is not used stops nothing. word_spans: first word, last word (or the one after it, as the source
    counts) and type of spans of words instead. labels: a label for each word, None where it has none. annotator: an id;
    also: other names of that annotator. time: in a form that sorts.
    """

    read_spans: Callable[[SpanReader], list[CharSpan]] | None = None
    word_spans: Sequence[WordSpan] = ()
    labels: Sequence[str | None] | None = None
    annotator: str | None = None
    also: frozenset[str] = frozenset()
    time: str = ""

    @classmethod
    def of_spans(cls, spans: list[CharSpan]) -> Annotation:
        """Spans of characters that are read already, in a format whose places need no unit."""
        return cls(lambda reader: spans)

    def is_by(self, annotator: str) -> bool:
        """Whether it is that annotator's."""
        return annotator == self.annotator or annotator in self.also


@dataclass(frozen=True)
class Annotated:
    """A text, or words, with annotations; none means that nobody has annotated it.

    tokens: where the source's own words stand in the text, counted as it counts spans. is_labelled: False where the
    source has no labels at all.
    """

    text: str | None = None
    words: tuple[str, ...] | None = None
    tokens: tuple[CharSpan, ...] | None = None
    annotations: tuple[Annotation, ...] = ()
    document: str | None = None
    is_labelled: bool = True


@dataclass(frozen=True)
class Fields:
    """Which fields of a record hold its text or words and its annotations. label: None where there are none."""

    word: str
    label: str | None


@dataclass(frozen=True)
class JsonFormat:
    """A format of JSON records.

    fits: whether a record is written in it. read: what is in a record, which may be several sentences, or none where
    annotators have turned it down. fields: which of the fields with these names hold text and annotations. unwrap: the
    records in a whole document, or None where it is in another format. inclusive_end: whether the end of a span is its
    last character or word. has_words: it has spans of words, whose ends may be counted in both ways. holds_several: a
    record is a document of several sentences. description: what it is, for the table of formats. write: its writer.
    """

    name: str
    fits: Callable[[Record], bool]
    read: Callable[[Record, Fields, Origin, Changes], Iterator[Annotated]]
    fields: Callable[[Sequence[str]], Fields]
    unwrap: Callable[[Any], list[Any] | None] | None = None
    inclusive_end: bool = False
    has_words: bool = False
    holds_several: bool = False
    description: str = ""
    write: Callable[[Iterable[Sentence], Writing], Iterator[str]] | None = None


def in_fields(word: str, label: str) -> Callable[[Sequence[str]], Fields]:
    """The fields of a format that always calls them so."""
    return lambda names: Fields(word, label)
