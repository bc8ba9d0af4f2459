"""Splits: sentences as Arrow tables in the cache, named by what is in them."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tf_tokclf.data.arrow import SCHEMA, sentences_of
from tf_tokclf.data.cache import Cache
from tf_tokclf.data.reading.annotators import PairCounts
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.version import __version__

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

_CACHE_FORMAT = 3  # counted up whenever reading changes what it yields


@dataclass(frozen=True)
class SplitMetadata:
    """What is known about sentences besides themselves.

    place: the source's name. notes: what was found out in reading, for the log. label_names: all labels in the
    source's own order, where it declares them. n_skipped: sentences left out; skipped: why, for the first of them.
    agreement: of the annotators, where records have several annotations.
    """

    place: str
    notes: tuple[str, ...]
    label_names: tuple[str, ...] | None = None
    n_skipped: int = 0
    skipped: tuple[str, ...] = ()
    agreement: tuple[PairCounts, ...] = ()


@dataclass(frozen=True)
class Split:
    """Sentences of one split. fingerprint: a hash of the content. path: its file in the cache.

    table: the sentences, as an Arrow table of `arrow.SCHEMA` that is mapped from that file where it is large.
    """

    name: str
    path: Path
    fingerprint: str
    n_words: int
    metadata: SplitMetadata
    table: pa.Table = field(repr=False, compare=False)

    @property
    def place(self) -> str:
        """The source's name."""
        return self.metadata.place

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out in reading, and what was changed, for the log."""
        return self.metadata.notes

    @cached_property
    def dataset(self) -> Dataset:
        """The sentences as a Hugging Face data set of the same table."""
        from datasets import Dataset
        from datasets.table import InMemoryTable

        return Dataset(InMemoryTable(self.table), fingerprint=self.fingerprint)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Sentence]:
        return self.slice(0)

    def slice(self, start: int, length: int | None = None) -> Iterator[Sentence]:
        """The sentences from number `start` (from 0) on, at most `length` of them."""
        for batch in self.table.slice(start, length).to_batches():
            yield from sentences_of(batch)

    @property
    def has_labels(self) -> bool:
        """Whether each sentence has labels."""
        return bool(self.table.column("labels").null_count == 0)

    def label_sequences(self) -> Iterator[Sequence[str]]:
        """The labels of each sentence that has them, several times faster than by sentence."""
        for chunk in self.table.column("labels").chunks:
            values, bounds = chunk.values.to_pylist(), chunk.offsets.to_pylist()
            for start, end, there in zip(bounds, bounds[1:], chunk.is_valid().to_pylist()):
                if there:
                    yield values[start:end]

    def label_counts(self) -> Counter[str]:
        """How many words carry each label."""
        counts: Counter[str] = Counter()
        for chunk in self.table.column("labels").chunks:
            for pair in pc.value_counts(chunk.flatten()).to_pylist():
                counts[pair["values"]] += pair["counts"]
        return counts


def load_or_build(
    name: str,
    fingerprint: str,
    batches: Callable[[], Iterable[pa.RecordBatch]],
    metadata: Callable[[], SplitMetadata],
    *,
    cache: Cache,
    source: str,
) -> Split:
    """The split with this fingerprint, written first where it is not in the cache yet. `metadata` is asked when all
    batches are written. source: what it was made from, for people.
    """
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
        log.debug("%s was written by another version and is written anew", found.path)
        anew = replace(cache, reuse=False)
        found = anew.load_or_build("splits", fingerprint, SCHEMA, counted, about, source=source)
        known = n_words, metadata()
    return Split(name, found.path, fingerprint, *known, found.table)


def _known(about: dict[str, Any]) -> tuple[int, SplitMetadata] | None:
    """Number of words and metadata as this version knows them, or None."""
    try:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in about["facts"].items()}
        fields["agreement"] = tuple(PairCounts.from_json(pair) for pair in fields["agreement"])
        return int(about["n_words"]), SplitMetadata(**fields)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def transformed(
    split: Split, what: str, change: Callable[[pa.RecordBatch, int], pa.RecordBatch], *, cache: Cache
) -> Split:
    """The split with each batch changed, given the number of its first row; `what` names the change in the
    fingerprint.
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
    """A fingerprint of these parts, for this version of the program."""
    text = "\0".join([__version__, str(_CACHE_FORMAT), *map(str, parts)])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def content_hash(split: Split) -> str:
    """A hash of the words and labels of a split, wherever its file is and however its table is cut into batches.

    A byte stream each for words, their lengths and the lengths of sentences, so that no border goes unseen.
    """
    streams = [hashlib.blake2b(digest_size=16) for _ in range(6)]
    for i, column in enumerate(("words", "labels")):
        text, word_lengths, lengths = streams[3 * i : 3 * i + 3]
        for chunk in split.table.column(column).chunks:
            words = chunk.flatten()
            lengths.update(pc.fill_null(pc.list_value_length(chunk), -1).to_numpy(zero_copy_only=False).tobytes())
            word_lengths.update(pc.binary_length(words).to_numpy(zero_copy_only=False).tobytes())
            text.update(_bytes_of(words))
    return hashlib.blake2b(b"".join(stream.digest() for stream in streams), digest_size=16).hexdigest()


def _bytes_of(words: pa.StringArray) -> bytes:
    """All words of an array, one behind the other, in UTF-8."""
    return "".join(words.to_pylist()).encode()
