"""The forward pass: from padded batches of any shape to log-probabilities of selected tokens, traced once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.encoding.encoder import Windows, first_piece_mask
from tf_tokclf.encoding.model_types import facts_of
from tf_tokclf.encoding.piece_cache import ranges
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.model.architectures.registry import architecture_of
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.memory import traced_gradients_forgotten
from tf_tokclf.model.parallel import MAX_LANES, has_gpu, n_lanes, side_by_side
from tf_tokclf.model.rows import packed

# Widths are rounded up to a multiple, because the math library prepares each distinct shape once.
WIDTH_MULTIPLE = 8


def needs_equal_lengths(model: keras.Model) -> bool:
    """Whether only rows of the same length, without padding, get the same scores together as alone."""
    return facts_of(model.config.model_type).reads_padding


def piece_logits(
    model: keras.Model, input_ids: tf.Tensor, attention_mask: tf.Tensor, *, training: bool, padded: bool = False
) -> tf.Tensor:
    """(rows, width, labels) logits. Those at padding are not valid.

    padded: compute padding like tokens. Compilers need shapes that follow from the shape of the batch.
    """
    with nullcontext() if padded else packed():
        return model(input_ids=input_ids, attention_mask=attention_mask, training=training).logits


def forward_function(model: keras.Model) -> Callable[[np.ndarray, np.ndarray, np.ndarray], tf.Tensor]:
    """A function of input_ids (rows, width) int32, lengths (rows,) int32 and positions (tokens, 2) int32.

    It returns the log-probabilities (tokens, labels) float32 of the tokens at these (row, column) positions. They have
    no gradients.
    """

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None, 2), tf.int32),
        ],
        autograph=architecture_of(model).needs_autograph,
    )
    def forward(input_ids: tf.Tensor, lengths: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        mask = tf.sequence_mask(lengths, tf.shape(input_ids)[1], dtype=tf.int32)
        # This runs while the function is traced. Without it, TensorFlow would keep every model that was loaded.
        with traced_gradients_forgotten():
            logits = piece_logits(model, input_ids, mask, training=False)
        return tf.nn.log_softmax(tf.cast(tf.gather_nd(logits, positions), tf.float32))

    return forward


@dataclass(frozen=True)
class WordScores:
    """Scores of words.

    sentence, word: (words,) the sentence, and the word in it. log_probabilities: (words, labels) float32.
    """

    sentence: np.ndarray
    word: np.ndarray
    log_probabilities: np.ndarray


def score_windows(
    forward: Callable,
    windows: Windows,
    *,
    batch_size: int | None,
    pad_id: int,
    aggregation: str = "first",
    lanes: int | None = None,
    compute_dtype: str = "float32",
    longest: int,
    equal_lengths: bool = False,
) -> Iterator[WordScores]:
    """Run `windows` in batches of similar length. The longest come first, so that a lack of memory shows immediately.

    batch_size: maximum number of windows per batch; None for a number that is fast on this machine. aggregation: how
    the scores of a word's subword tokens become the word's score: "first" token, "average" probability, or "max" for
    the token with the highest probability. lanes: number of parallel calls of `forward`, by default `n_lanes()`.
    compute_dtype: that of the model, for the message about NaN. longest: the longest row that the model reads, where
    its table of positions may end. equal_lengths: put only windows of the same length into a batch, without padding.
    """
    lanes = lanes or n_lanes()
    order = np.argsort(-windows.lengths, kind="stable")
    size = _windows_a_pass(batch_size, len(order))
    groups = np.split(order, np.flatnonzero(np.diff(windows.lengths[order])) + 1) if equal_lengths else [order]
    batches = (group[begin : begin + size] for group in groups for begin in range(0, len(group), size))

    def score(rows: np.ndarray) -> WordScores:
        width = int(windows.lengths[rows].max())
        if not equal_lengths:
            width = min(-(-width // WIDTH_MULTIPLE) * WIDTH_MULTIPLE, longest)
        return _score_batch(forward, windows, rows, width, pad_id, aggregation, compute_dtype)

    return side_by_side(score, batches, lanes)


def _windows_a_pass(batch_size: int | None, n_windows: int) -> int:
    """The number of windows per forward pass: at most `batch_size`, and small enough to give every lane a pass.

    The default is small on CPUs, because the windows of a small batch have similar lengths and need little padding. It
    does not depend on the number of cores, so that scores do not: the size of a pass changes their last bits.

    MiniLM-L6 on two cores with AMX: 1,280 tweets at once ran at 268 per second in passes of 8, 260 of 16, 233 of 32. 32
    tweets at once ran at 201 per second in passes of 4, 169 of 8, 112 of 16. With AVX2, 1,287 tweets ran at 151, 172
    and 148 per second in passes of 8, 16 and 32.
    """
    on_gpu = has_gpu()
    if batch_size is None:
        few, many, very_many = 4, 16, 32
        batch_size = very_many if on_gpu else many if n_windows > 256 else few
    lanes = 1 if on_gpu else MAX_LANES
    return max(min(batch_size, -(-n_windows // lanes)), 1)


def _score_batch(
    forward: Callable, windows: Windows, rows: np.ndarray, width: int, pad_id: int, aggregation: str, compute_dtype: str
) -> WordScores:
    lengths = windows.lengths[rows]
    source = ranges(windows.starts[rows], lengths)
    row = np.repeat(np.arange(len(rows)), lengths)
    column = ranges(np.zeros(len(rows), dtype=np.int64), lengths)
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int32)
    input_ids[row, column] = windows.input_ids[source]
    word = windows.word[source]
    firsts = first_piece_mask(word, np.concatenate([[0], np.cumsum(lengths)]))
    chosen = firsts if aggregation == "first" else word >= 0
    positions = np.stack([row[chosen], column[chosen]], axis=1).astype(np.int32)
    try:
        scores = np.asarray(forward(input_ids, lengths.astype(np.int32), positions))
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise JobError(
            f"out of memory with {counted(len(rows), 'window')} of {counted(width, 'subword token')} at once. Try "
            f"--per-device-eval-batch-size {max(len(rows) // 2, 1)}, which does not change the labels, or a model that "
            f"was trained with shorter windows (alignment.max_length {max(width // 2, 32)})."
        ) from error
    if np.isnan(scores).any():
        # Words without a score would silently get the fallback label.
        hint = "Its weights are damaged: fetch them again."
        if compute_dtype != "float32":
            hint = f"Its weights are damaged, or too large for {compute_dtype}: fetch them again, or use float32."
        raise UserError("The model's output is NaN.", hint=hint)
    if aggregation != "first" and len(scores):
        scores = _aggregate(scores, np.flatnonzero(firsts[chosen]), aggregation)
    return WordScores(windows.sentence[rows][row[firsts]], word[firsts], scores)


def _aggregate(log_probabilities: np.ndarray, starts: np.ndarray, aggregation: str) -> np.ndarray:
    """Combine the rows of subword tokens to rows of words. starts: the first row of each word."""
    if aggregation == "average":
        counts = np.diff(np.concatenate([starts, [len(log_probabilities)]]))
        return np.log(np.add.reduceat(np.exp(log_probabilities), starts) / counts[:, None])
    surest = log_probabilities.max(axis=1)
    ends = np.concatenate([starts[1:], [len(surest)]])
    return log_probabilities[[start + int(surest[start:end].argmax()) for start, end in zip(starts, ends)]]
