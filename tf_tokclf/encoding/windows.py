"""Windows: sequences of words whose subword tokens fit the model. Long sentences are split into overlapping windows.

Each word is *owned* by exactly one window, the one in which it has the most context. In other windows it is not
labelled or scored. Only the numbers of subword tokens determine the windows, never the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tf_tokclf.config.schema import AlignmentConfig
from tf_tokclf.counted import counted
from tf_tokclf.encoding.tokenizers import special_pieces, window_limit
from tf_tokclf.errors import UserError

if TYPE_CHECKING:
    from tf_tokclf.encoding.word_tokenizer import WordTokenizer


@dataclass(frozen=True)
class WindowPlan:
    """Arrays of equal length with one entry per window. Words are numbered over the whole batch of sentences.

    sentence: the sentence that the window labels. first, last: half-open range of the words in the window. own_first,
    own_last: half-open range of the words that the window owns.
    """

    sentence: np.ndarray
    first: np.ndarray
    last: np.ndarray
    own_first: np.ndarray
    own_last: np.ndarray


def check_window(max_length: int, overlap: int, n_special: int) -> int:
    """The number of subword tokens in a window without its special tokens. Raises UserError for impossible settings."""
    capacity = max_length - n_special
    if capacity < 1:
        raise UserError(
            f"alignment.max_length {max_length} leaves no room for words beside {n_special} special tokens.",
            hint="Increase it.",
        )
    if overlap >= capacity:
        raise UserError(
            f"alignment.overlap {overlap} is too large for windows of {counted(capacity, 'subword token')} (max_length "
            f"{max_length} minus {n_special} special tokens).",
            hint=f"Give an overlap below {capacity}, such as {capacity // 4}.",
        )
    return capacity


def plan_windows(
    n_pieces: np.ndarray,
    sentence_starts: np.ndarray,
    *,
    capacity: int,
    overlap: int,
    truncate: bool = False,
    context_sentences: int = 0,
    documents: np.ndarray | None = None,
) -> WindowPlan:
    """Plan the windows of a batch of sentences.

    n_pieces: (words,) subword tokens per word. sentence_starts: (sentences + 1,) the first word of each sentence, and
    the number of words. documents: (sentences,) an id per sentence; context never includes sentences of other
    documents. A sentence without words gets no window.
    """
    ends = np.concatenate([[0], np.cumsum(n_pieces)])
    starts, stops = sentence_starts[:-1], sentence_starts[1:]
    lengths = ends[stops] - ends[starts]
    fits = (lengths <= capacity) & (stops > starts)
    whole = np.flatnonzero(fits)
    first, last = starts[whole].copy(), stops[whole].copy()
    if context_sentences:
        _add_context(first, last, whole, sentence_starts, ends, capacity, context_sentences, documents)
    rows = [np.stack([whole, first, last, starts[whole], stops[whole]])]
    for sentence in np.flatnonzero(lengths > capacity):
        begin, end = int(starts[sentence]), int(stops[sentence])
        runs = split_long(n_pieces[begin:end], capacity=capacity, overlap=overlap)
        if truncate:
            # The only window owns all its words.
            runs = [(0, runs[0][1], 0, runs[0][1])]
        rows.append(np.array([(sentence, *(np.array(run) + begin)) for run in runs]).T)
    table = np.concatenate(rows, axis=1)
    # lexsort is stable, so the windows of a sentence stay in order.
    return WindowPlan(*table[:, np.lexsort([table[0]])])


def split_long(n_pieces: np.ndarray, *, capacity: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """(first, last, own_first, own_last) of each window of a long sentence. Words are numbered in the sentence.

    A word with more subword tokens than fit into a window gets a window of its own, cut to the tokens that fit.

    >>> split_long(np.ones(10, int), capacity=6, overlap=2)
    [(0, 6, 0, 5), (4, 10, 5, 10)]
    """
    runs = _overlapping_runs(np.minimum(n_pieces, capacity), capacity, overlap)
    owners = _owners(np.minimum(n_pieces, capacity), runs)
    return [
        (first, last, int(np.searchsorted(owners, i)), int(np.searchsorted(owners, i, "right")))
        for i, (first, last) in enumerate(runs)
    ]


def _overlapping_runs(n_pieces: np.ndarray, capacity: int, overlap: int) -> list[tuple[int, int]]:
    ends = np.concatenate([[0], np.cumsum(n_pieces)])
    n_words = len(n_pieces)
    first, runs = 0, []
    while True:
        last = int(np.searchsorted(ends, ends[first] + capacity, "right")) - 1
        runs.append((first, last))
        if last >= n_words:
            return runs
        # Go back far enough for the overlap, but keep room for the next word, so that each window advances.
        back = int(np.searchsorted(ends, ends[last] - overlap, "right")) - 1
        room = int(np.searchsorted(ends, ends[last + 1] - capacity))
        first = max(back, room)


def _owners(n_pieces: np.ndarray, runs: list[tuple[int, int]]) -> np.ndarray:
    """For each word, the first window in which the distance to the nearer edge is largest. Never decreases.

    The ends of the sentence need no special treatment: if one of them is the nearer edge, no other window has more
    context there.
    """
    ends = np.concatenate([[0], np.cumsum(n_pieces)])
    n_words = len(n_pieces)
    best = np.full(n_words, -1)
    owner = np.zeros(n_words, dtype=int)
    for i, (first, last) in enumerate(runs):
        words = np.arange(first, last)
        context = np.minimum(ends[words] - ends[first], ends[last] - ends[words + 1])
        better = context > best[first:last]
        best[first:last][better] = context[better]
        owner[first:last][better] = i
    return owner


def _add_context(
    first: np.ndarray,
    last: np.ndarray,
    whole: np.ndarray,
    sentence_starts: np.ndarray,
    ends: np.ndarray,
    capacity: int,
    context_sentences: int,
    documents: np.ndarray | None,
) -> None:
    """Extend windows in place by whole neighbouring sentences while they fit: nearest first, left before right."""
    n_sentences = len(sentence_starts) - 1
    for i, sentence in enumerate(whole):
        open_sides = {-1, 1}
        for step in range(1, context_sentences + 1):
            for side in sorted(open_sides):
                neighbour = sentence + side * step
                inside = 0 <= neighbour < n_sentences
                if inside and (documents is None or documents[neighbour] == documents[sentence]):
                    begin = min(first[i], sentence_starts[neighbour])
                    end = max(last[i], sentence_starts[neighbour + 1])
                    if ends[end] - ends[begin] <= capacity:
                        first[i], last[i] = begin, end
                        continue
                open_sides.discard(side)
            if not open_sides:
                break


# The alignment strategies, as the plan and the model card describe them.
ALIGNMENTS = {
    "first": "the first subword token of a word carries its label",
    "all": "all subword tokens of a word carry its label (I- after B-)",
    "all-same": "all subword tokens of a word carry the same label",
}


@dataclass(frozen=True)
class WindowSettings:
    """How a model reads sentences. Prediction uses the same settings as training; stored in `tf_tokclf.json`."""

    strategy: str
    max_length: int
    overlap: int
    truncate: bool = False
    context_sentences: int = 0

    @classmethod
    def of(cls, alignment: AlignmentConfig, folder: Path, tokenizer: WordTokenizer) -> WindowSettings:
        """The settings of `alignment`, with values that are not set filled in from the limits of the model."""
        limit = window_limit(folder, tokenizer)
        max_length = alignment.max_length or min(limit, 512)
        if max_length > limit:
            raise UserError(
                f"alignment.max_length {max_length} is more than the model reads at once.",
                hint=f"Give at most {limit}.",
            )
        overlap_set = "overlap" in alignment.model_fields_set
        n_special = sum(map(len, special_pieces(tokenizer)))
        # The default overlap is reduced for short windows. An overlap that the user set must fit.
        overlap = alignment.overlap if overlap_set else min(alignment.overlap, (max_length - n_special) // 4)
        check_window(max_length, overlap, n_special)
        return cls(alignment.strategy, max_length, overlap, alignment.truncate, alignment.context_sentences)
