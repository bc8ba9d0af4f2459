"""Turn label scores into label sequences, for a whole batch of sentences at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.validation import transition_mask

# (labels,), (labels, labels), (labels,) bool: the labels that may start a sentence, the allowed transitions (from row
# to column), and the labels that may end a sentence.
Mask = tuple[np.ndarray, np.ndarray, np.ndarray]

# A forbidden transition costs more than any allowed sequence, but its cost is finite. If no allowed sequence exists,
# the result is then the sequence with the fewest forbidden transitions.
_FORBIDDEN = -1e9
_LEAST_LOG_PROBABILITY = -1e3
_SENTENCES_AT_ONCE = 256

DECODINGS = ("argmax", "viterbi")


def decode(
    log_probabilities: np.ndarray, sentence_starts: np.ndarray, labels: LabelSet, *, decoding: str = "argmax"
) -> np.ndarray:
    """(words,) int64 label id of each word.

    log_probabilities: (words, labels), nan in the rows of words that the model did not see. These words get the
    fallback label.
    sentence_starts: (sentences + 1,) the first word of each sentence, and the total number of words.
    decoding: "argmax" for the best label of each word, "viterbi" for the best sequence that the scheme allows.
    """
    unseen = np.isnan(log_probabilities[:, 0])
    fallback = np.full(log_probabilities.shape[1], _LEAST_LOG_PROBABILITY, log_probabilities.dtype)
    fallback[labels.id_by_label[labels.fallback]] = 0.0
    scores = np.where(unseen[:, None], fallback, log_probabilities)
    if decoding == "argmax":
        best: np.ndarray = scores.argmax(axis=1).astype(np.int64)
        return best
    if decoding != "viterbi":
        raise ValueError(f"decoding is argmax or viterbi, not {decoding!r}")
    sentences = np.split(scores, sentence_starts[1:-1])
    paths = viterbi_batch(sentences, transition_mask(labels.names, labels.scheme))
    return np.concatenate([np.zeros(0, np.int64), *paths])


def viterbi(log_probabilities: np.ndarray, mask: Mask) -> np.ndarray:
    """Label ids (words,) of the best allowed sequence. log_probabilities: (words, labels).

    mask: the result of `validation.transition_mask`. Ties go to the smaller id.

    >>> from tf_tokclf.labels.schemes import Scheme
    >>> mask = transition_mask(["O", "B-X", "I-X"], Scheme.IOB2)
    >>> viterbi(np.log([[0.5, 0.4, 0.1], [0.1, 0.2, 0.7]]), mask).tolist()
    [1, 2]
    """
    return viterbi_batch([log_probabilities], mask)[0]


def viterbi_batch(sentences: Sequence[np.ndarray], mask: Mask) -> list[np.ndarray]:
    """Run `viterbi` on many sentences, grouped by similar length. The paths are in the order of the sentences."""
    paths: dict[int, np.ndarray] = {}
    by_length = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    for start in range(0, len(by_length), _SENTENCES_AT_ONCE):
        group = by_length[start : start + _SENTENCES_AT_ONCE]
        paths.update(zip(group, _viterbi_group([sentences[i] for i in group], mask)))
    return [paths[i] for i in range(len(sentences))]


def _viterbi_group(sentences: Sequence[np.ndarray], mask: Mask) -> list[np.ndarray]:
    lengths = np.array([len(one) for one in sentences])
    n_words, n_labels = int(lengths.max()), sentences[0].shape[1]
    start, transitions, end = (np.where(allowed, 0.0, _FORBIDDEN) for allowed in mask)
    steps = np.zeros((n_words, len(sentences), n_labels))
    for i, one in enumerate(sentences):
        steps[: len(one), i] = np.maximum(one, _LEAST_LOG_PROBABILITY)

    best = steps[:1].sum(axis=0) + start
    came_from = np.zeros((n_words, len(sentences), n_labels), np.int32)
    for word in range(1, n_words):
        routes = best[:, :, None] + transitions
        # Sentences that have already ended keep their scores.
        going_on = (word < lengths)[:, None]
        came_from[word] = np.where(going_on, routes.argmax(axis=1), np.arange(n_labels))
        best = np.where(going_on, routes.max(axis=1) + steps[word], best)

    paths = np.empty((n_words, len(sentences)), np.int64)
    label = (best + end).argmax(axis=1)
    for word in range(n_words - 1, -1, -1):
        paths[word] = label
        label = came_from[word, np.arange(len(sentences)), label]
    return [paths[:length, i] for i, length in enumerate(lengths.tolist())]
