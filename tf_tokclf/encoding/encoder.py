"""Convert sentences to windows of subword tokens: the rows of training batches and forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.encoding.hints import OTHER_TOKENIZER
from tf_tokclf.encoding.piece_cache import PieceStore, ranges
from tf_tokclf.encoding.tokenizers import special_pieces
from tf_tokclf.encoding.windows import WindowSettings, check_window, plan_windows
from tf_tokclf.errors import UserError

if TYPE_CHECKING:
    from tf_tokclf.encoding.word_tokenizer import WordTokenizer
    from tf_tokclf.labels.label_set import LabelSet


UNSCORED = -100


@dataclass(frozen=True)
class Windows:
    """The windows (rows) of a batch of sentences. Ragged columns are stored as a flat array and the starts of the rows.

    starts: (rows + 1,). input_ids: (tokens,) int32. word: (tokens,) int32, the word in its sentence to which a subword
    token belongs; -1 for special tokens, and for tokens of words that this row does not label. sentence: (rows,) int64.
    n_pieces: (words,) the number of subword tokens of each word in the batch.
    """

    starts: np.ndarray
    input_ids: np.ndarray
    word: np.ndarray
    sentence: np.ndarray
    n_pieces: np.ndarray

    def __len__(self) -> int:
        return len(self.sentence)

    @property
    def lengths(self) -> np.ndarray:
        """(rows,) number of tokens in each row, including special tokens."""
        return np.diff(self.starts)

    def positions(self, offsets: np.ndarray) -> np.ndarray:
        """(words,) position of each word's first subword token in its row, -1 for words that no row labels.

        offsets: (sentences + 1,) the first word of each sentence, and the number of words.
        """
        positions = np.full(int(offsets[-1]), -1, dtype=np.int32)
        first = first_piece_mask(self.word, self.starts)
        within = np.arange(len(self.word)) - np.repeat(self.starts[:-1], self.lengths)
        row_sentence = np.repeat(self.sentence, self.lengths)
        positions[offsets[row_sentence[first]] + self.word[first]] = within[first]
        return positions

    def rows(self, keep: np.ndarray) -> Windows:
        """The rows for which `keep` (rows,) is True."""
        if keep.all():
            return self
        lengths = self.lengths[keep]
        pieces = ranges(self.starts[:-1][keep], lengths)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return Windows(starts, self.input_ids[pieces], self.word[pieces], self.sentence[keep], self.n_pieces)


class Encoder:
    """Builds the windows of sentences."""

    def __init__(self, tokenizer: WordTokenizer, reading: WindowSettings, *, n_embeddings: int | None = None) -> None:
        """n_embeddings: the number of token embeddings of the model, if it is known."""
        self.reading = reading
        self._n_embeddings = n_embeddings
        self._store = PieceStore(tokenizer)
        self._before, self._after = special_pieces(tokenizer)
        # The padding id is looked up in the embeddings too.
        self._check_ids(np.array([tokenizer.pad_token_id or 0, *self._before, *self._after]))
        self._capacity = check_window(reading.max_length, reading.overlap, len(self._before) + len(self._after))

    def windows(self, sentences: Sequence[Sequence[str]], documents: Sequence[str | None] | None = None) -> Windows:
        """The windows of a batch of sentences, given as words. documents: a name per sentence, for context."""
        words = [word for sentence in sentences for word in sentence]
        n_words = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
        sentence_starts = np.concatenate([[0], np.cumsum(n_words)])
        pieces = self._store.pieces(words)
        plan = plan_windows(
            pieces.n_pieces,
            sentence_starts,
            capacity=self._capacity,
            overlap=self.reading.overlap,
            truncate=self.reading.truncate,
            context_sentences=self.reading.context_sentences,
            documents=None if documents is None else np.array([name or "" for name in documents], dtype=object),
        )
        piece_ends = np.concatenate([[0], np.cumsum(pieces.n_pieces)])
        first_piece = piece_ends[plan.first]
        shown = np.minimum(piece_ends[plan.last] - first_piece, self._capacity)
        starts = np.concatenate([[0], np.cumsum(shown + len(self._before) + len(self._after))])
        ids, word = self._fill(starts, shown)
        source = ranges(first_piece, shown)
        target = ranges(starts[:-1] + len(self._before), shown)
        ids[target] = pieces.ids[source]
        self._check_ids(ids)
        word_of_piece = np.repeat(np.arange(len(words)), pieces.n_pieces)[source]
        owned = (word_of_piece >= np.repeat(plan.own_first, shown)) & (word_of_piece < np.repeat(plan.own_last, shown))
        within = word_of_piece - np.repeat(sentence_starts[plan.sentence], shown)
        word[target] = np.where(owned, within, -1)
        return Windows(starts, ids, word, plan.sentence, pieces.n_pieces)

    def _check_ids(self, ids: np.ndarray) -> None:
        """Raise UserError for a token id without an embedding in the model."""
        if self._n_embeddings is not None and len(ids) and (largest := int(ids.max())) >= self._n_embeddings:
            raise UserError(
                f"the tokenizer returns the token id {largest}, but the model's vocabulary has "
                f"{counted(self._n_embeddings, 'token')}.",
                hint=OTHER_TOKENIZER,
            )

    def _fill(self, starts: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows that contain only their special tokens, and the words of their tokens (-1 everywhere)."""
        ids = np.zeros(starts[-1], dtype=np.int32)
        for i, special in enumerate(self._before):
            ids[starts[:-1] + i] = special
        for i, special in enumerate(self._after):
            ids[starts[:-1] + len(self._before) + shown + i] = special
        return ids, np.full(starts[-1], -1, dtype=np.int32)


def first_piece_mask(word: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(tokens,) bool: True for the first subword token of each word that its row labels.

    >>> first_piece_mask(np.array([-1, 0, 0, 1, -1]), np.array([0, 5])).tolist()
    [False, True, False, True, False]
    """
    before = np.roll(word, 1)
    before[starts[:-1][starts[:-1] < len(word)]] = -1
    opens: np.ndarray = (word >= 0) & (word != before)
    return opens


def piece_labels(
    windows: Windows,
    sentences: Sequence[Sequence[str]],
    labels: LabelSet,
    strategy: str,
    *,
    unlabelled: Sequence[Sequence[int] | None] = (),
) -> np.ndarray:
    """(tokens,) int32 label ids, -100 for tokens without a label.

    sentences: the labels of each sentence's words. unlabelled: the positions of words without a label in each sentence.
    strategy: which subword tokens of a word get its label. "first": only the first. "all": all of them, the later ones
    with the label inside the span (I- after B-). "all-same": all of them, with the same label.
    """
    id_by_label = labels.id_by_label
    n_words = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
    offsets = np.concatenate([[0], np.cumsum(n_words)])
    flat = np.fromiter((id_by_label[label] for s in sentences for label in s), dtype=np.int32, count=int(offsets[-1]))
    for offset, positions in zip(offsets.tolist(), unlabelled):
        if positions:
            flat[offset + np.array(positions)] = UNSCORED
    scored = windows.word >= 0
    row_sentence = np.repeat(windows.sentence, windows.lengths)
    result = np.full(len(windows.word), UNSCORED, dtype=np.int32)
    result[scored] = flat[offsets[row_sentence[scored]] + windows.word[scored]]
    if strategy == "all-same":
        return result
    later = scored & ~first_piece_mask(windows.word, windows.starts)
    if strategy == "first":
        result[later] = UNSCORED
    else:
        later &= result != UNSCORED
        result[later] = np.array(labels.continuation_ids)[result[later]]
    return result
