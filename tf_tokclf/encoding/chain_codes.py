"""Labels of subword tokens for a CRF, which needs to know the words of each sequence and the ends of sentences."""

from __future__ import annotations

import numpy as np

from tf_tokclf.encoding.encoder import UNSCORED, Windows, first_piece_mask

# A code is (label id + 1) * N_FLAGS plus the flags of the word. A word without a label has the id -1.
BEGINS, ENDS, N_FLAGS = 1, 2, 4


def chain_codes(windows: Windows, labels: np.ndarray, sentence_starts: np.ndarray) -> np.ndarray:
    """(tokens,) int32: a code for the first subword token of each word that its window labels, -100 for other tokens.

    labels: (tokens,) label ids of first subword tokens, -100 for words without a label. sentence_starts: (sentences +
    1,) the first word of each sentence in the batch, and the number of words.

    The flag `BEGINS` marks the first word of a sentence, and `ENDS` its last one. Words without a subword token do not
    count, because the model does not see them.
    """
    is_word = first_piece_mask(windows.word, windows.starts)
    sentence = np.repeat(windows.sentence, windows.lengths)[is_word]
    word = sentence_starts[sentence] + windows.word[is_word]
    # How many words up to each one have subword tokens.
    n_seen = np.concatenate([[0], np.cumsum(windows.n_pieces > 0)])
    begins = n_seen[word] == n_seen[sentence_starts[sentence]]
    ends = n_seen[word + 1] == n_seen[sentence_starts[sentence + 1]]
    ids = np.where(labels[is_word] == UNSCORED, -1, labels[is_word])
    codes = np.full(len(labels), UNSCORED, np.int32)
    codes[is_word] = (ids + 1) * N_FLAGS + begins * BEGINS + ends * ENDS
    return codes
