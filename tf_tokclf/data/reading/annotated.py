"""Texts or words with annotations.

All record formats are converted to this form: a text with character spans, or words with spans or labels. A record may
have no annotation, one, or several by different annotators.
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
    """Reads the spans of a record. skip: leave out and count invalid spans. label_names: names by label id."""

    origin: Origin
    changes: Changes
    skip: bool = False
    label_names: tuple[str, ...] | None = None

    def drop(self, error: UserError, what: str) -> None:
        """Raise `error`, or count the span if invalid spans are left out."""
        if not self.skip:
            raise error
        self.changes.note(what, self.origin)

    def type_name(self, type: str | int) -> str:
        """The name of a span's type, without blanks around it. An id is replaced by its name from the options."""
        if isinstance(type, str):
            return type.strip() or type
        if self.label_names is None:
            self.changes.note("spans whose type is an id without a name (set data.label_names)", self.origin)
            return str(type)
        if not 0 <= type < len(self.label_names):
            hint = f"There are {counted(len(self.label_names), 'label')}; ids start at 0."
            raise self.origin.error(f"there is no label with id {type}.", hint)
        return self.label_names[type]


@dataclass(frozen=True)
class Annotation:
    """The annotation of one annotator.

    read_spans: reads the character spans. It is called only when they are needed, so that a mistake in an unused
    annotation does no harm. word_spans: (first word, last word or the word after it, type), depending on the format.
    labels: a label for each word, or None for a word without one. annotator: an id. also: other names of the
    annotator. time: a sortable text.
    """

    read_spans: Callable[[SpanReader], list[CharSpan]] | None = None
    word_spans: Sequence[WordSpan] = ()
    labels: Sequence[str | None] | None = None
    annotator: str | None = None
    also: frozenset[str] = frozenset()
    time: str = ""

    @classmethod
    def of_spans(cls, spans: list[CharSpan]) -> Annotation:
        """Create it from character spans in code points that have already been read."""
        return cls(lambda reader: spans)

    def is_by(self, annotator: str) -> bool:
        """Whether this annotator made the annotation."""
        return annotator == self.annotator or annotator in self.also


@dataclass(frozen=True)
class Annotated:
    """A text or words with annotations; without any, it is not annotated.

    tokens: positions of the source's own words in the text, in the same unit as its spans. is_labelled: False if the
    whole source has no labels.
    """

    text: str | None = None
    words: tuple[str, ...] | None = None
    tokens: tuple[CharSpan, ...] | None = None
    annotations: tuple[Annotation, ...] = ()
    document: str | None = None
    is_labelled: bool = True


@dataclass(frozen=True)
class Fields:
    """The fields of a record that contain its text or words, and its annotations (None without annotations)."""

    word: str
    label: str | None


@dataclass(frozen=True)
class JsonFormat:
    """A format of JSON records.

    fits: whether a record has this format. read: yields the content of a record; it may be several sentences, or none
    if annotators rejected the record. fields: chooses the fields of text and annotations. unwrap: the records of a
    whole JSON document, or None if the document has another format. inclusive_end: whether the end of a span is its
    last character or word. has_words: spans consist of words; their ends may be inclusive or exclusive. holds_several:
    a record is a document of several sentences. description: for the table of formats. write: the writer.
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
    """The fields of a format with fixed field names."""
    return lambda names: Fields(word, label)
