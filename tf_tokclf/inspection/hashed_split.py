"""A split as integers: 64-bit hashes of its words and ids of its labels. A million sentences then fit in memory.

Sequences of words (sentences, spans, contexts) are hashed too, so that equal sequences can be found by sorting numbers.
The probability that two of n different sequences have the same hash is about n² / 2⁶⁵.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
import pyarrow as pa

from tf_tokclf.data.splits import Split
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.spans import SpanTable, span_table

_BASE = 0x9E3779B97F4A7C15  # odd, hence invertible modulo 2**64
_INVERSE = pow(_BASE, -1, 2**64)
_WORDS_PER_CHUNK = 1_000_000


@dataclass(frozen=True)
class WordBatch:
    """Consecutive sentences. codes: (words,) indices into `distinct`. n_words: (sentences,) words per sentence."""

    first_sentence: int
    distinct: list[str]
    codes: np.ndarray
    n_words: np.ndarray


def word_batches(split: Split) -> Iterator[WordBatch]:
    """The words of a split, in batches of a few thousand sentences."""
    first = 0
    for batch in split.table.select(["words"]).to_batches():
        words = batch.column("words")
        encoded = words.flatten().dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        n_words = words.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        yield WordBatch(first, encoded.dictionary.to_pylist(), codes, n_words)
        first += batch.num_rows


@dataclass(frozen=True)
class HashedSplit:
    """A split as arrays.

    words: (words,) uint64 hashes. labels: (words,) ids. starts: (sentences + 1,) the first word of each sentence, and
    the number of words.
    """

    name: str
    words: np.ndarray
    labels: np.ndarray
    starts: np.ndarray

    @property
    def n_sentences(self) -> int:
        return len(self.starts) - 1

    @property
    def n_words(self) -> int:
        return len(self.words)

    def sentence_of(self, word: int) -> tuple[int, int]:
        """The sentence that contains the flat position `word`, and the word's position in that sentence."""
        sentence = int(np.searchsorted(self.starts, word, "right")) - 1
        return sentence, int(word - self.starts[sentence])

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Half-open ranges of sentences with about a million words each, which limits the memory per chunk."""
        first = 0
        while first < self.n_sentences:
            after = int(np.searchsorted(self.starts, self.starts[first] + _WORDS_PER_CHUNK, "right")) - 1
            last = min(max(after, first + 1), self.n_sentences)
            yield first, last
            first = last

    def spans(self, labels: LabelSet) -> Iterator[SpanTable]:
        """All spans, chunk by chunk, with flat positions in the whole split."""
        for first, last in self.chunks():
            begin, end = self.starts[first], self.starts[last]
            table = span_table(self.labels[begin:end], self.starts[first:last] - begin, labels.names, labels.scheme)
            yield replace(table, starts=table.starts + begin, ends=table.ends + begin)

    def sentence_hashes(self) -> np.ndarray:
        """(sentences,) hashes that are equal for sentences with the same words."""
        return self._hashes(self.words)

    def labelling_hashes(self) -> np.ndarray:
        """(sentences,) hashes that are equal for sentences with the same labels."""
        return self._hashes(self.labels.astype(np.uint64))

    def _hashes(self, values: np.ndarray) -> np.ndarray:
        parts = [np.empty(0, np.uint64)]
        for first, last in self.chunks():
            bounds = self.starts[first : last + 1] - self.starts[first]
            hashes = RunHashes(values[self.starts[first] : self.starts[last]])
            parts.append(hashes.of(bounds[:-1], bounds[1:]))
        return np.concatenate(parts)


class RunHashes:
    """Hashes of arbitrary ranges of a sequence, from prefix sums of value * base ** position."""

    def __init__(self, values: np.ndarray) -> None:
        powers = np.full(len(values) + 1, _BASE, np.uint64)
        inverses = np.full(len(values) + 1, _INVERSE, np.uint64)
        powers[0] = inverses[0] = 1
        self._inverses = np.multiply.accumulate(inverses)
        products = _mixed(values.astype(np.uint64)) * np.multiply.accumulate(powers)[:-1]
        self._sums = np.concatenate([np.zeros(1, np.uint64), np.add.accumulate(products)])

    def of(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The hashes of the half-open ranges from `starts` to `ends`."""
        return _mixed((self._sums[ends] - self._sums[starts]) * self._inverses[starts])


def _mixed(values: np.ndarray) -> np.ndarray:
    """Mix the bits of the values (one step of splitmix64), so that sums of small numbers do not collide."""
    values = values + np.uint64(_BASE)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def code_split(split: Split, labels: LabelSet) -> HashedSplit:
    """Read a split into arrays, in one pass: about 10 bytes per word."""
    words, lengths = np.empty(split.n_words, np.uint64), [np.zeros(1, np.int64)]
    at = 0
    for batch in word_batches(split):
        digests = b"".join(blake2b(word.encode(), digest_size=8).digest() for word in batch.distinct)
        words[at : at + len(batch.codes)] = np.frombuffer(digests, np.uint64)[batch.codes]
        at += len(batch.codes)
        lengths.append(batch.n_words)
    return HashedSplit(split.name, words, _label_ids(split, labels), np.concatenate(lengths).cumsum())


def _label_ids(split: Split, labels: LabelSet) -> np.ndarray:
    dtype = np.int16 if len(labels) < 2**15 else np.int32
    parts = [np.empty(0, dtype)]
    for chunk in split.table.column("labels").chunks:
        encoded: pa.DictionaryArray = chunk.flatten().dictionary_encode()
        ids = np.array([labels.id_by_label[name] for name in encoded.dictionary.to_pylist()], dtype)
        parts.append(ids[encoded.indices.to_numpy(zero_copy_only=False)])
    return np.concatenate(parts)
