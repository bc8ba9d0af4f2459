"""Compute scores of words by running a forward pass over windows, with any library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.cpu import side_by_side
from tf_tokclf.encoding.encoder import Windows, first_piece_mask
from tf_tokclf.encoding.piece_cache import ranges
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.forward_pass import ForwardPass, PassFacts

# Up to so many windows, a pass has the smaller of the two sizes in `PassFacts.rows_a_pass`.
FEW_WINDOWS = 256


@dataclass(frozen=True)
class WordScores:
    """Scores of words.

    sentence, word: (words,) the sentence, and the word in it. log_probabilities: (words, labels) float32.
    """

    sentence: np.ndarray
    word: np.ndarray
    log_probabilities: np.ndarray


def score_windows(
    forward: ForwardPass,
    windows: Windows,
    *,
    batch_size: int | None,
    pad_id: int,
    aggregation: str = "first",
    longest: int,
) -> Iterator[WordScores]:
    """Run `windows` in batches of similar length. The longest come first, so that a lack of memory shows immediately.

    batch_size: maximum number of windows per batch; None for a number that is fast on this machine. aggregation: how
    the scores of a word's subword tokens become the word's score: "first" token, "average" probability, or "max" for
    the token with the highest probability. longest: the longest row that the model reads, where its table of positions
    may end.
    """

    def score(rows: np.ndarray) -> WordScores:
        return _score_batch(forward, PaddedRows.of(windows, rows, forward.facts, pad_id, longest), aggregation)

    return side_by_side(score, batches_of_rows(windows, batch_size, forward.facts), forward.facts.lanes)


def batches_of_rows(windows: Windows, batch_size: int | None, facts: PassFacts) -> Iterator[np.ndarray]:
    """The numbers of the windows of each batch. The arguments are those of `score_windows`."""
    order = np.argsort(-windows.lengths, kind="stable")
    size = _windows_a_pass(batch_size, len(order), facts)
    is_border = np.diff(windows.lengths[order]) if facts.needs_equal_lengths else np.zeros(max(len(order) - 1, 0))
    for group in np.split(order, np.flatnonzero(is_border) + 1):
        yield from (group[begin : begin + size] for begin in range(0, len(group), size))


@dataclass(frozen=True)
class PaddedRows:
    """A batch of windows.

    rows: (rows,) their numbers. input_ids: (rows, width) int32. lengths: (rows,) int32. For each token, row, column:
    (tokens,) its place in the batch. word: (tokens,) as in `Windows`.
    """

    windows: Windows
    rows: np.ndarray
    input_ids: np.ndarray
    lengths: np.ndarray
    row: np.ndarray
    column: np.ndarray
    word: np.ndarray

    @classmethod
    def of(cls, windows: Windows, rows: np.ndarray, facts: PassFacts, pad_id: int, longest: int) -> PaddedRows:
        """The windows with these numbers. The other arguments are those of `score_windows`."""
        lengths = windows.lengths[rows]
        width = int(lengths.max())
        if not facts.needs_equal_lengths:
            width = min(-(-width // facts.width_multiple) * facts.width_multiple, longest)
        source = ranges(windows.starts[rows], lengths)
        row = np.repeat(np.arange(len(rows)), lengths)
        column = ranges(np.zeros(len(rows), dtype=np.int64), lengths)
        input_ids = np.full((len(rows), width), pad_id, dtype=np.int32)
        input_ids[row, column] = windows.input_ids[source]
        return cls(windows, rows, input_ids, lengths.astype(np.int32), row, column, windows.word[source])

    def positions(self, chosen: np.ndarray) -> np.ndarray:
        """(chosen tokens, 2) int32, the row and the column of the tokens for which `chosen` (tokens,) is True."""
        return np.stack([self.row[chosen], self.column[chosen]], axis=1).astype(np.int32)


def _windows_a_pass(batch_size: int | None, n_windows: int, facts: PassFacts) -> int:
    """The number of windows per forward pass: at most `batch_size`, and small enough to give every lane a pass."""
    few, many = facts.rows_a_pass
    batch_size = batch_size or (many if n_windows > FEW_WINDOWS else few)
    return max(min(batch_size, -(-n_windows // facts.most_lanes)), 1)


def _score_batch(forward: ForwardPass, batch: PaddedRows, aggregation: str) -> WordScores:
    firsts = first_piece_mask(batch.word, np.concatenate([[0], np.cumsum(batch.lengths)]))
    chosen = firsts if aggregation == "first" else batch.word >= 0
    try:
        scores = np.asarray(forward(batch.input_ids, batch.lengths, batch.positions(chosen)))
    except MemoryError as error:
        n_rows, width = batch.input_ids.shape
        raise JobError(
            f"out of memory with {counted(n_rows, 'window')} of {counted(width, 'subword token')} at once. Try "
            f"--per-device-eval-batch-size {max(n_rows // 2, 1)}, which does not change the labels, or a model that "
            f"was trained with shorter windows (alignment.max_length {max(width // 2, 32)})."
        ) from error
    if np.isnan(scores).any():
        # Words without a score would silently get the fallback label.
        hint = "Its weights are damaged: fetch them again."
        if (precision := forward.facts.precision) != "float32":
            hint = f"Its weights are damaged, or too large for {precision}: fetch them again, or use float32."
        raise UserError("The model's output is NaN.", hint=hint)
    if aggregation != "first" and len(scores):
        scores = _aggregate(scores, np.flatnonzero(firsts[chosen]), aggregation)
    return WordScores(batch.windows.sentence[batch.rows][batch.row[firsts]], batch.word[firsts], scores)


def _aggregate(log_probabilities: np.ndarray, starts: np.ndarray, aggregation: str) -> np.ndarray:
    """Combine the rows of subword tokens to rows of words. starts: the first row of each word."""
    if aggregation == "average":
        counts = np.diff(np.concatenate([starts, [len(log_probabilities)]]))
        return np.log(np.add.reduceat(np.exp(log_probabilities), starts) / counts[:, None])
    surest = log_probabilities.max(axis=1)
    ends = np.concatenate([starts[1:], [len(surest)]])
    return log_probabilities[[start + int(surest[start:end].argmax()) for start, end in zip(starts, ends)]]
