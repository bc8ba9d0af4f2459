"""Split words into subword tokens quickly: each distinct word is tokenised once.

A fast tokenizer processes each word of pre-split input separately, so the subword tokens of a word do not depend on its
neighbours. `tests/encoding/test_piece_cache.py` checks this for each family of tokenizers. The word of each token
(`word_ids()` in transformers) is then known without asking the tokenizer.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tf_tokclf.encoding.tokenizers import tokenize_function

if TYPE_CHECKING:
    from tf_tokclf.encoding.word_tokenizer import WordTokenizer

# Number of distinct words in the store, about 200 MB. The store is emptied when there are more.
MAX_WORDS = 1_000_000


@dataclass(frozen=True)
class Pieces:
    """The subword tokens of a sequence of words. n_pieces: (words,) tokens per word. ids: (tokens,) in order."""

    n_pieces: np.ndarray
    ids: np.ndarray


class PieceStore:
    """Tokenises words and caches the results. It can be used by several threads."""

    def __init__(self, tokenizer: WordTokenizer) -> None:
        self._tokenize = tokenize_function(tokenizer)
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._code_by_word: dict[str, int] = {}
        self._starts = np.zeros(1, dtype=np.int64)
        self._ids = np.zeros(0, dtype=np.int32)

    def pieces(self, words: Sequence[str]) -> Pieces:
        """The subword tokens of `words`, in order. A word can have none."""
        with self._lock:
            return self._pieces(words)

    def _pieces(self, words: Sequence[str]) -> Pieces:
        if len(self._code_by_word) > MAX_WORDS:
            self._forget()
        code_by_word = self._code_by_word
        new = [word for word in dict.fromkeys(words) if word not in code_by_word]
        if new:
            self._learn(new)
        codes = np.fromiter((code_by_word[word] for word in words), dtype=np.int64, count=len(words))
        starts = self._starts[codes]
        n_pieces = self._starts[codes + 1] - starts
        return Pieces(n_pieces, self._ids[ranges(starts, n_pieces)])

    def _learn(self, words: list[str]) -> None:
        new_ids = self._tokenize([_encodable(word) for word in words])
        lengths = np.fromiter(map(len, new_ids), dtype=np.int64, count=len(new_ids))
        self._code_by_word.update(zip(words, range(len(self._code_by_word), len(self._code_by_word) + len(words))))
        self._starts = np.concatenate([self._starts, self._starts[-1] + np.cumsum(lengths)])
        flat = np.fromiter((i for ids in new_ids for i in ids), dtype=np.int64, count=int(lengths.sum()))
        # Larger ids are refused when they are compared with the number of embeddings.
        self._ids = np.concatenate([self._ids, np.minimum(flat, np.iinfo(np.int32).max).astype(np.int32)])


def _encodable(word: str) -> str:
    """Replace lone surrogates, which JSON can contain but tokenizers do not accept.

    >>> _encodable("a\\ud800")
    'a?'
    """
    return word if word.isascii() else word.encode("utf-8", "replace").decode("utf-8")


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Concatenate the ranges that begin at `starts` and have the given `lengths`.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(lengths)
    numbers: np.ndarray = np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)
    return numbers
