"""Splits: sentences as Arrow tables in the cache, under a hash of their content. Without pyarrow they are read into
memory, and there is no cache.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_tokclf.data.cache import Cache
from tf_tokclf.data.plain_table import PlainBatch, PlainTable
from tf_tokclf.data.reading.annotators import PairCounts
from tf_tokclf.data.sentence_batches import HAS_PYARROW, sentences_of
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

log = logging.getLogger(__name__)

_CACHE_FORMAT = 5  # increased whenever reading the same data gives a different result


@dataclass(frozen=True)
class SplitMetadata:
    """Metadata of a split.

    place: name of the source. notes: log lines about what was detected and changed. label_names: all labels in the
    order in which the source declares them, if it does. n_skipped: number of sentences left out; skipped: the reasons,
    for the first ones. agreement: between annotators, if records have several annotations.
    """

    place: str
    notes: tuple[str, ...]
    label_names: tuple[str, ...] | None = None
    n_skipped: int = 0
    skipped: tuple[str, ...] = ()
    agreement: tuple[PairCounts, ...] = ()


@dataclass(frozen=True)
class Split:
    """Sentences of one split. fingerprint: a hash of the content. path: the file in the cache.

    table: the sentences as an Arrow table with `arrow.SCHEMA`. Large tables are memory-mapped from the file.
    """

    name: str
    path: Path
    fingerprint: str
    n_words: int
    metadata: SplitMetadata
    table: pa.Table = field(repr=False, compare=False)

    @property
    def place(self) -> str:
        """Name of the source."""
        return self.metadata.place

    @property
    def notes(self) -> tuple[str, ...]:
        """Log lines about what was detected and changed in reading."""
        return self.metadata.notes

    @cached_property
    def places(self) -> list[str]:
        """The files of the sentences, in order."""
        return list(dict.fromkeys(sentence.origin.path for sentence in self if sentence.origin))

    @cached_property
    def dataset(self) -> Dataset:
        """The same table as a Hugging Face data set."""
        from datasets import Dataset
        from datasets.table import InMemoryTable

        return Dataset(InMemoryTable(self.table), fingerprint=self.fingerprint)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Sentence]:
        return self.slice(0)

    def slice(self, start: int, length: int | None = None) -> Iterator[Sentence]:
        """At most `length` sentences from index `start`."""
        for batch in self.table.slice(start, length).to_batches():
            yield from sentences_of(batch)

    @property
    def has_labels(self) -> bool:
        """Whether each sentence has labels."""
        return bool(self.table.column("labels").null_count == 0)

    def label_sequences(self) -> Iterator[Sequence[str]]:
        """The labels of each labelled sentence. Several times faster than iterating over sentences."""
        for chunk in self.table.column("labels").chunks:
            values, bounds = chunk.values.to_pylist(), chunk.offsets.to_pylist()
            for start, end, there in zip(bounds, bounds[1:], chunk.is_valid().to_pylist()):
                if there:
                    yield values[start:end]

    def label_counts(self) -> Counter[str]:
        """Number of words with each label."""
        import pyarrow.compute as pc

        counts: Counter[str] = Counter()
        for chunk in self.table.column("labels").chunks:
            for pair in pc.value_counts(chunk.flatten()).to_pylist():
                counts[pair["values"]] += pair["counts"]
        return counts


@dataclass(frozen=True)
class PlainSplit(Split):
    """Sentences of one split in memory. table: a `PlainTable`."""

    @property
    def has_labels(self) -> bool:
        """As `Split.has_labels`."""
        return all(sentence.labels is not None for sentence in self)

    def label_sequences(self) -> Iterator[Sequence[str]]:
        """As `Split.label_sequences`."""
        return (sentence.labels for sentence in self if sentence.labels is not None)

    def label_counts(self) -> Counter[str]:
        """As `Split.label_counts`."""
        return Counter(label for labels in self.label_sequences() for label in labels)


def load_or_build(
    name: str,
    fingerprint: str,
    batches: Callable[[], Iterable[pa.RecordBatch]],
    metadata: Callable[[], SplitMetadata],
    *,
    cache: Cache,
    source: str,
) -> Split:
    """The split with this fingerprint. It is written first if it is not in the cache.

    metadata: called after all batches are written. source: the data from which the split was made, for display.
    """
    if not HAS_PYARROW:
        return _read_into_memory(name, fingerprint, batches(), metadata, cache)
    from tf_tokclf.data.arrow import SCHEMA

    n_words = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal n_words
        for batch in batches():
            n_words += len(batch.column("words").flatten())
            yield batch

    def about() -> dict[str, Any]:
        return {"n_words": n_words, "facts": asdict(metadata())}

    found = cache.load_or_build("splits", fingerprint, SCHEMA, counted, about, source=source)
    known = _known(found.facts)
    if known is None:
        log.debug("%s was written by another version and is rewritten", found.path)
        anew = replace(cache, reuse=False)
        found = anew.load_or_build("splits", fingerprint, SCHEMA, counted, about, source=source)
        known = n_words, metadata()
    return Split(name, found.path, fingerprint, *known, found.table)


def _read_into_memory(
    name: str, fingerprint: str, batches: Iterable[PlainBatch], metadata: Callable[[], SplitMetadata], cache: Cache
) -> Split:
    sentences = [sentence for batch in batches for sentence in batch.sentences]
    n_words = sum(len(sentence.words) for sentence in sentences)
    return PlainSplit(name, cache.folder, fingerprint, n_words, metadata(), PlainTable(sentences))


def _known(about: dict[str, Any]) -> tuple[int, SplitMetadata] | None:
    """Number of words and metadata, or None if another version wrote them in a form that this one cannot read."""
    try:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in about["facts"].items()}
        fields["agreement"] = tuple(PairCounts.from_json(pair) for pair in fields["agreement"])
        return int(about["n_words"]), SplitMetadata(**fields)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def transformed(
    split: Split, what: str, change: Callable[[pa.RecordBatch, int], pa.RecordBatch], *, cache: Cache
) -> Split:
    """The split after `change(batch, first)` was applied to each of its batches. first: the row of the split at which
    the batch begins. what: a name of the change, which becomes part of the fingerprint.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in split.table.to_batches():
            changed = change(batch, first)
            first += batch.num_rows
            if changed.num_rows:
                yield changed

    fingerprint = hash_of(split.fingerprint, what)
    source = f"{split.place}: {what}"
    return load_or_build(split.name, fingerprint, batches, lambda: split.metadata, cache=cache, source=source)


def hash_of(*parts: object) -> str:
    """A fingerprint of these parts and of the program's version."""
    text = "\0".join([__version__, str(_CACHE_FORMAT), *map(str, parts)])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def content_hash(split: Split, *, with_unlabelled: bool = False) -> str:
    """A hash of the words and labels of a split, independent of the file's location and of the batches.

    Words, word lengths and sentence lengths are hashed separately, so that moved boundaries change the hash.
    with_unlabelled: whether the positions of words without a label are hashed too.
    """
    streams = [hashlib.blake2b(digest_size=16) for _ in range(6)]
    parts = _plain_content if isinstance(split, PlainSplit) else _arrow_content
    for i, column in enumerate(("words", "labels")):
        for content in parts(split, column):
            for stream, part in zip(streams[3 * i : 3 * i + 3], content):
                stream.update(part)
    if with_unlabelled:
        streams.append(hashlib.blake2b(digest_size=16))
        for sentence in split:
            streams[-1].update(f"{sentence.unlabelled}".encode())
    return hashlib.blake2b(b"".join(stream.digest() for stream in streams), digest_size=16).hexdigest()


def _arrow_content(split: Split, column: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    """The words of a column in UTF-8, their lengths, and the lengths of the sentences, in some parts."""
    import pyarrow.compute as pc

    for chunk in split.table.column(column).chunks:
        words = chunk.flatten()
        lengths = pc.fill_null(pc.list_value_length(chunk), -1).to_numpy(zero_copy_only=False)
        word_lengths = pc.binary_length(words).to_numpy(zero_copy_only=False)
        yield "".join(words.to_pylist()).encode(), word_lengths.tobytes(), lengths.tobytes()


def _plain_content(split: Split, column: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    """As `_arrow_content`, with the same bytes."""
    for batch in split.table.to_batches():
        rows = [getattr(sentence, column) for sentence in batch.sentences]
        words = [word.encode() for row in rows if row for word in row]
        lengths = [-1 if row is None else len(row) for row in rows]
        yield b"".join(words), _int32(map(len, words)), _int32(lengths)


def _int32(numbers: Iterable[int]) -> bytes:
    return np.array(list(numbers), np.int32).tobytes()
