"""Which subword tokens of a window are words of a sequence, and which words begin and end a sentence."""

from __future__ import annotations

import numpy as np

from tf_tokclf.encoding.chain_codes import BEGINS, ENDS, N_FLAGS, chain_codes
from tf_tokclf.encoding.encoder import Windows

NOTHING = -100


def code(label: int, flags: int = 0) -> int:
    return (label + 1) * N_FLAGS + flags


def test_windows_of_a_long_sentence_share_its_ends_and_words_that_are_not_seen_do_not_count():
    """The first sentence has six words: none of the first and the last has a subword token, and the second has two."""
    n_pieces = np.array([0, 2, 1, 1, 1, 0, 1])
    # A window that labels words 1 and 2 and shows word 3, one that labels words 3 and 4, and the second sentence.
    word = np.array([-1, 1, 1, 2, -1, -1, -1, 3, 4, -1, -1, 0, -1], np.int32)
    starts = np.array([0, 6, 10, 13])
    windows = Windows(starts, np.zeros(len(word), np.int32), word, np.array([0, 0, 1]), n_pieces)
    # Word 2 has no label.
    labels = np.full(len(word), NOTHING)
    labels[[1, 7, 8, 11]] = [2, 0, 1, 3]
    expected = np.full(len(word), NOTHING)
    expected[[1, 3]] = [code(2, BEGINS), code(-1)]
    expected[[7, 8]] = [code(0), code(1, ENDS)]
    expected[11] = code(3, BEGINS + ENDS)
    assert chain_codes(windows, labels, np.array([0, 6, 7])).tolist() == expected.tolist()


def test_a_truncated_sentence_has_no_end():
    word = np.array([0, 1], np.int32)
    windows = Windows(np.array([0, 2]), word, word, np.array([0]), np.array([1, 1, 1]))
    assert chain_codes(windows, np.array([0, 1]), np.array([0, 3])).tolist() == [code(0, BEGINS), code(1)]
