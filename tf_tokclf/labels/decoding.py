"""Turn label scores into label sequences, and into marginal probabilities, for a whole batch of sentences at once.

The same code serves the rules of a label scheme and the transitions that a CRF has learned (`labels/chain.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tf_tokclf.labels.allowed_steps import AllowedSteps
from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.label_set import LabelSet

# A forbidden transition costs more than any allowed sequence, but its cost is finite. If no allowed sequence exists,
# the result is then the sequence with the fewest forbidden transitions.
_FORBIDDEN = -1e9
_LEAST_LOG_PROBABILITY = -1e3
_SENTENCES_AT_ONCE = 256

DECODINGS = ("argmax", "viterbi")


def decode(
    log_probabilities: np.ndarray,
    sentence_starts: np.ndarray,
    labels: LabelSet,
    *,
    decoding: str = "argmax",
    crf: Chain | None = None,
) -> np.ndarray:
    """(words,) int64 label id of each word.

    log_probabilities: (words, labels), nan in the rows of words that the model did not see. These words get the
    fallback label.
    sentence_starts: (sentences + 1,) the first word of each sentence, and the total number of words.
    decoding: "argmax" for the best label of each word, "viterbi" for the best sequence that the scheme allows.
    crf: the learned transitions, which "viterbi" then uses instead of the rules of the scheme.
    """
    scores = with_fallback(log_probabilities, labels)
    if decoding == "argmax":
        best: np.ndarray = scores.argmax(axis=1).astype(np.int64)
        return best
    if decoding != "viterbi":
        raise ValueError(f"decoding is argmax or viterbi, not {decoding!r}")
    sentences = np.split(scores, sentence_starts[1:-1])
    paths = viterbi_batch(sentences, crf or Chain.of_rules(labels.names, labels.scheme))
    return np.concatenate([np.zeros(0, np.int64), *paths])


def log_marginals(
    log_probabilities: np.ndarray, sentence_starts: np.ndarray, labels: LabelSet, crf: Chain
) -> np.ndarray:
    """(words, labels) float32: the logarithm of the probability that a CRF gives each label of a word, over all
    sequences of the sentence.

    The arguments are those of `decode`. The result is nan for words that the model did not see.
    """
    scores = with_fallback(log_probabilities, labels)
    found = marginals_batch(np.split(scores, sentence_starts[1:-1]), crf)
    marginals = np.concatenate([np.zeros((0, len(labels))), *found])
    marginals[np.isnan(log_probabilities[:, 0])] = np.nan
    return marginals.astype(np.float32)


def with_fallback(log_probabilities: np.ndarray, labels: LabelSet) -> np.ndarray:
    """The scores with those of the fallback label for words that the model did not see."""
    unseen = np.isnan(log_probabilities[:, 0])
    if not unseen.any():
        return log_probabilities
    fallback = np.full(log_probabilities.shape[1], _LEAST_LOG_PROBABILITY, log_probabilities.dtype)
    fallback[labels.id_by_label[labels.fallback]] = 0.0
    return np.where(unseen[:, None], fallback, log_probabilities)


def viterbi(log_probabilities: np.ndarray, chain: Chain) -> np.ndarray:
    """Label ids (words,) of the best allowed sequence. log_probabilities: (words, labels). Ties go to the smaller id.

    >>> from tf_tokclf.labels.schemes import Scheme
    >>> rules = Chain.of_rules(["O", "B-X", "I-X"], Scheme.IOB2)
    >>> viterbi(np.log([[0.5, 0.4, 0.1], [0.1, 0.2, 0.7]]), rules).tolist()
    [1, 2]
    """
    return viterbi_batch([log_probabilities], chain)[0]


def viterbi_batch(sentences: Sequence[np.ndarray], chain: Chain) -> list[np.ndarray]:
    """Run `viterbi` on many sentences, grouped by similar length. The paths are in the order of the sentences."""
    return _in_groups(sentences, chain, _viterbi_group)


def marginals_batch(sentences: Sequence[np.ndarray], chain: Chain) -> list[np.ndarray]:
    """For each sentence, (words, labels) float64: the logarithms of the marginal probabilities of labels.

    sentences: (words, labels) scores each. Source: the forward-backward algorithm, as in Sutton and McCallum 2012
    (arXiv:1011.4088), section 4.1.
    """
    return _in_groups(sentences, chain, _marginals_group)


def _in_groups(
    sentences: Sequence[np.ndarray],
    chain: Chain,
    compute: Callable[[Sequence[np.ndarray], Chain], list[np.ndarray]],
) -> list[np.ndarray]:
    """The results of `compute` in the order of the sentences. It is called with sentences of similar length."""
    results: dict[int, np.ndarray] = {}
    by_length = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    for start in range(0, len(by_length), _SENTENCES_AT_ONCE):
        group = by_length[start : start + _SENTENCES_AT_ONCE]
        results.update(zip(group, compute([sentences[i] for i in group], chain)))
    return [results[i] for i in range(len(sentences))]


def _padded(sentences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(words, sentences, labels) float64 scores, and the length of each sentence."""
    lengths = np.array([len(one) for one in sentences])
    steps = np.zeros((int(lengths.max()), len(sentences), sentences[0].shape[1]))
    for i, one in enumerate(sentences):
        steps[: len(one), i] = np.maximum(one, _LEAST_LOG_PROBABILITY)
    return steps, lengths


def _viterbi_group(sentences: Sequence[np.ndarray], chain: Chain) -> list[np.ndarray]:
    steps, lengths = _padded(sentences)
    n_words, _, n_labels = steps.shape
    start, transitions, end = chain.with_score(_FORBIDDEN)
    allowed = AllowedSteps.of(chain)

    best = steps[:1].sum(axis=0) + start
    came_from = np.zeros((n_words, len(sentences), n_labels), np.int32)
    for word in range(1, n_words):
        labels, values = allowed.best(best) if allowed else _best_of_all(best, transitions)
        if allowed and values.min() < _FORBIDDEN / 2:
            # No allowed sequence ends in one of the labels, so that a forbidden step may be better.
            labels, values = _best_of_all(best, transitions)
        # Sentences that have already ended keep their scores.
        going_on = (word < lengths)[:, None]
        came_from[word] = np.where(going_on, labels, np.arange(n_labels))
        best = np.where(going_on, values + steps[word], best)

    paths = np.empty((n_words, len(sentences)), np.int64)
    label = (best + end).argmax(axis=1)
    for word in range(n_words - 1, -1, -1):
        paths[word] = label
        label = came_from[word, np.arange(len(sentences)), label]
    return [paths[:length, i] for i, length in enumerate(lengths.tolist())]


def _best_of_all(scores: np.ndarray, transitions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Like `AllowedSteps.best`, over all labels and with the scores of the transitions."""
    routes = scores[:, :, None] + transitions
    return routes.argmax(axis=1), routes.max(axis=1)


def _marginals_group(sentences: Sequence[np.ndarray], chain: Chain) -> list[np.ndarray]:
    steps, lengths = _padded(sentences)
    n_words = len(steps)
    start, transitions, end = chain.with_score(_FORBIDDEN)

    before, after = np.zeros_like(steps), np.zeros_like(steps)
    before[:1] = steps[:1] + start
    for word in range(1, n_words):
        before[word] = _log_sum(before[word - 1][:, :, None] + transitions, axis=1) + steps[word]
    after[-1:] = end
    for word in range(n_words - 2, -1, -1):
        behind = _log_sum(transitions + (steps[word + 1] + after[word + 1])[:, None, :], axis=2)
        after[word] = np.where((word < lengths - 1)[:, None], behind, end)

    found = before + after
    found -= _log_sum(found, axis=2)[:, :, None]
    return [found[:length, i] for i, length in enumerate(lengths.tolist())]


def _log_sum(values: np.ndarray, *, axis: int) -> np.ndarray:
    top = values.max(axis=axis, keepdims=True)
    summed: np.ndarray = np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis)
    return summed
