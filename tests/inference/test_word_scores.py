"""Scores of windows: how they are batched and padded, whichever library computes the forward pass."""

from __future__ import annotations

import numpy as np

from tf_tokclf.encoding.encoder import Windows
from tf_tokclf.forward_pass import PassFacts, Replaced
from tf_tokclf.inference.word_scores import score_windows

LENGTHS = (13, 5, 9, 13)
FACTS = PassFacts(
    engine="none 1.0",
    precision="float32",
    model_type="bert",
    vocabulary_size=40,
    needs_equal_lengths=False,
    width_multiple=8,
    rows_a_pass=(4, 16),
    lanes=1,
    most_lanes=2,
)


def windows_of(lengths: tuple[int, ...]) -> Windows:
    """One window per sentence; each of its tokens is a word."""
    input_ids = np.random.default_rng(3).integers(6, 40, sum(lengths)).astype(np.int32)
    word = np.concatenate([np.arange(n) for n in lengths]).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Windows(starts, input_ids, word, np.arange(len(lengths)), np.ones(sum(lengths), dtype=np.int32))


def test_rows_are_not_padded_beyond_the_longest_that_the_model_reads():
    widths = []

    def forward(input_ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> np.ndarray:
        widths.append(input_ids.shape[1])
        return np.zeros((len(positions), 2), dtype=np.float32)

    for longest in (13, 20):
        list(score_windows(Replaced(FACTS, forward), windows_of(LENGTHS), batch_size=1, pad_id=0, longest=longest))
    assert widths == [13, 13, 13, 8, 16, 16, 16, 8]
