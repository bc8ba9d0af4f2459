"""Keep the best of a stream of sentences, each sentence once, in memory that does not grow with the stream."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.records.base import Record
from tf_tokclf.scoring.uncertainty import Doubt


@dataclass(frozen=True)
class Candidate:
    """A sentence that may be selected.

    key: the same for equal sentences. order: a random number that depends on the sentence and the seed. tagged: the
    sentence with its predicted labels; None if it is not labelled yet. doubt: None if sentences are drawn at random.
    """

    key: int
    order: int
    record: Record
    tagged: TaggedSentence | None = None
    doubt: Doubt | None = None

    @property
    def rank(self) -> tuple[float, float, int]:
        """What is higher for a better candidate."""
        return (self.doubt.score, self.doubt.second, self.order) if self.doubt else (0.0, 0.0, self.order)

    @property
    def n_words(self) -> int:
        return len(self.record.sentence)


class BestCandidates:
    """The best candidates: `most` of them, or as many as have `most_words` words together."""

    def __init__(self, *, most: int | None = None, most_words: int | None = None) -> None:
        self._most = most
        self._most_words = most_words
        self._heap: list[tuple[tuple[float, float, int], int, Candidate]] = []
        self._keys: set[int] = set()
        self._n_words = 0

    def __len__(self) -> int:
        return len(self._heap)

    def accepts(self, candidate: Candidate) -> bool:
        """Whether a candidate is not there yet, and is better than one that would go."""
        if candidate.key in self._keys:
            return False
        return not self._is_full or candidate.rank > self._heap[0][0]

    def add(self, candidate: Candidate) -> None:
        """Add a candidate that is accepted. The worst ones go."""
        heapq.heappush(self._heap, (candidate.rank, candidate.key, candidate))
        self._keys.add(candidate.key)
        self._n_words += candidate.n_words
        while self._can_spare_the_worst:
            gone = heapq.heappop(self._heap)[-1]
            self._keys.discard(gone.key)
            self._n_words -= gone.n_words

    @property
    def _is_full(self) -> bool:
        if self._most is not None:
            return len(self._heap) >= self._most
        return self._most_words is not None and self._n_words >= self._most_words

    @property
    def _can_spare_the_worst(self) -> bool:
        if self._most is not None:
            return len(self._heap) > self._most
        if self._most_words is None:
            return False
        return self._n_words - self._heap[0][-1].n_words >= self._most_words

    def ranked(self) -> list[Candidate]:
        """The candidates, best first."""
        return [candidate for _, _, candidate in sorted(self._heap, key=lambda item: item[:2], reverse=True)]


def within_budget(candidates: Sequence[Candidate], n_words: int) -> Iterator[Candidate]:
    """The candidates in their order, without those that would exceed the number of words."""
    for candidate in candidates:
        if candidate.n_words <= n_words:
            n_words -= candidate.n_words
            yield candidate
