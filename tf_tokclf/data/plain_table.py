"""Sentences in memory, for installations without pyarrow. The names are those of Arrow batches and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, islice

from tf_tokclf.labels.sentence import Sentence

SENTENCES_PER_BATCH = 4096


@dataclass(frozen=True)
class PlainBatch:
    """Some sentences."""

    sentences: Sequence[Sentence]

    @property
    def num_rows(self) -> int:
        """The number of sentences."""
        return len(self.sentences)

    def slice(self, start: int, length: int | None = None) -> PlainBatch:
        """At most `length` sentences from index `start`."""
        return PlainBatch(self.sentences[start : None if length is None else start + length])

    def filter(self, mask: Iterable[bool]) -> PlainBatch:
        """The sentences for which the mask is true."""
        return PlainBatch(list(compress(self.sentences, mask)))


@dataclass(frozen=True)
class PlainTable(PlainBatch):
    """All sentences of a split."""

    def to_batches(self) -> Iterator[PlainBatch]:
        """The sentences, `SENTENCES_PER_BATCH` at a time."""
        return batches_of(self.sentences)

    def slice(self, start: int, length: int | None = None) -> PlainTable:
        """As `PlainBatch.slice`."""
        return PlainTable(super().slice(start, length).sentences)


def batches_of(sentences: Iterable[Sentence]) -> Iterator[PlainBatch]:
    """The sentences in batches of `SENTENCES_PER_BATCH`."""
    rest = iter(sentences)
    while chunk := list(islice(rest, SENTENCES_PER_BATCH)):
        yield PlainBatch(chunk)


def sentences_of(batch: PlainBatch) -> Iterator[Sentence]:
    """The sentences of a batch."""
    return iter(batch.sentences)
