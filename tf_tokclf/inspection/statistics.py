"""Statistics of a split: sizes, labels, spans, and lengths in words and, for a given tokenizer, in subword tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tf_tokclf.data.splits import Split
from tf_tokclf.encoding.piece_cache import PieceStore
from tf_tokclf.encoding.tokenizers import special_pieces
from tf_tokclf.encoding.windows import WindowSettings, check_window, plan_windows
from tf_tokclf.inspection.hashed_split import HashedSplit, word_batches
from tf_tokclf.labels.label_set import LabelSet

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_BIN_ENDS = (0, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000, 2000)


@dataclass(frozen=True)
class Lengths:
    """A distribution of lengths. histogram: (shortest, longest, count) of each bin that is not empty."""

    mean: float
    median: float
    percentile_95: float
    longest: int
    histogram: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, lengths: np.ndarray) -> Lengths:
        """Summarise an array of lengths.

        >>> Lengths.of(np.array([1, 4, 7])).histogram
        ((1, 5, 2), (6, 10, 1))
        """
        if len(lengths) == 0:
            return cls(0.0, 0.0, 0.0, 0, ())
        longest = int(lengths.max())
        ends = [*(end for end in _BIN_ENDS if end < longest), longest]
        counts = np.bincount(np.searchsorted(ends, lengths), minlength=len(ends)).tolist()
        firsts = [0, *(end + 1 for end in ends[:-1])]
        bins = (
            (first, next((e for e in _BIN_ENDS if e >= end), end), n)
            for first, end, n in zip(firsts, ends, counts)
            if n
        )
        return cls(
            float(lengths.mean()),
            float(np.median(lengths)),
            float(np.percentile(lengths, 95)),
            longest,
            tuple(bins),
        )


@dataclass(frozen=True)
class PieceStatistics:
    """A split as a tokenizer splits it. lengths: subword tokens per sentence, without special tokens.

    n_words_without: words without a subword token. n_unknown: tokens that are not in the vocabulary. n_long: sentences
    that need more than one window. n_windows: number of windows that the model reads.
    """

    n_pieces: int
    n_unknown: int
    n_words_without: int
    lengths: Lengths
    n_long: int
    n_windows: int
    words_without: Mapping[str, int]

    def per_word(self, n_words: int) -> float:
        """Mean number of subword tokens per word."""
        return self.n_pieces / n_words if n_words else 0.0

    @property
    def unknown_rate(self) -> float:
        return self.n_unknown / self.n_pieces if self.n_pieces else 0.0


@dataclass(frozen=True)
class SplitStatistics:
    """Statistics of one split. spans: count of each type. span_lengths: count of each length in words."""

    name: str
    n_sentences: int
    n_distinct_sentences: int
    n_words: int
    n_distinct_words: int
    labels: Mapping[str, int]
    spans: Mapping[str, int]
    span_lengths: Mapping[int, int]
    lengths: Lengths
    pieces: PieceStatistics | None = None

    @property
    def n_spans(self) -> int:
        return sum(self.spans.values())


def split_statistics(coded: HashedSplit, labels: LabelSet, *, pieces: PieceStatistics | None = None) -> SplitStatistics:
    """Compute the statistics of a split. Labels without a scheme have no spans."""
    counts = np.bincount(coded.labels, minlength=len(labels)).tolist()
    spans: Counter[str] = Counter()
    span_lengths: Counter[int] = Counter()
    for table in coded.spans(labels):
        by_type = np.bincount(table.type_ids, minlength=len(table.types)).tolist()
        spans.update({type_: n for type_, n in zip(table.types, by_type) if n})
        by_length = np.bincount(table.ends - table.starts).tolist()
        span_lengths.update({length: n for length, n in enumerate(by_length) if n})
    return SplitStatistics(
        name=coded.name,
        n_sentences=coded.n_sentences,
        n_distinct_sentences=len(np.unique(coded.sentence_hashes())),
        n_words=coded.n_words,
        n_distinct_words=len(np.unique(coded.words)),
        labels={name: n for name, n in zip(labels.names, counts) if n},
        spans=dict(sorted(spans.items())),
        span_lengths=dict(sorted(span_lengths.items())),
        lengths=Lengths.of(np.diff(coded.starts)),
        pieces=pieces,
    )


def piece_statistics(split: Split, tokenizer: PreTrainedTokenizerFast, reading: WindowSettings) -> PieceStatistics:
    """Tokenise a split, batch by batch, and count its windows without building them."""
    store = PieceStore(tokenizer)
    capacity = check_window(reading.max_length, reading.overlap, sum(map(len, special_pieces(tokenizer))))
    unknown = tokenizer.unk_token_id
    n_unknown = n_windows = n_long = 0
    lengths = [np.empty(0, np.int64)]
    without: dict[str, int] = {}
    for batch in word_batches(split):
        pieces = store.pieces(batch.distinct)
        n_pieces = pieces.n_pieces[batch.codes]
        ends = np.concatenate([[0], np.cumsum(n_pieces)])
        starts = np.concatenate([[0], np.cumsum(batch.n_words)])
        lengths.append(np.diff(ends[starts]))
        plan = plan_windows(n_pieces, starts, capacity=capacity, overlap=reading.overlap, truncate=reading.truncate)
        n_windows += len(plan.sentence)
        n_long += int((lengths[-1] > capacity).sum())
        n_words = np.bincount(batch.codes, minlength=len(batch.distinct))
        if unknown is not None:
            word_of_piece = np.repeat(np.arange(len(batch.distinct)), pieces.n_pieces)
            n_unknown += int(n_words[word_of_piece[pieces.ids == unknown]].sum())
        for code in np.flatnonzero(pieces.n_pieces == 0):
            word = batch.distinct[code]
            without[word] = without.get(word, 0) + int(n_words[code])
    per_sentence = np.concatenate(lengths)
    return PieceStatistics(
        n_pieces=int(per_sentence.sum()),
        n_unknown=n_unknown,
        n_words_without=sum(without.values()),
        lengths=Lengths.of(per_sentence),
        n_long=n_long,
        n_windows=n_windows,
        words_without=without,
    )
