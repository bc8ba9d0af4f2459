"""The forward-backward algorithm in TensorFlow: sums over all label sequences of a batch, with their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tf_tokclf.model.backend import tf


@dataclass(frozen=True)
class Links:
    """Which words of a batch are connected. All are bool.

    valid: (rows, words) True for words, False for padding behind them. linked: (rows, words) whether there is a
    transition to the word from the word before it; otherwise the sequence before it and the one from it on are
    independent. begins, ends: (rows,) whether the scores of the start and the end of a sentence count.
    """

    valid: tf.Tensor
    linked: tf.Tensor
    begins: tf.Tensor
    ends: tf.Tensor


def log_sum_of_sequences(
    emissions: tf.Tensor, start: tf.Tensor, transitions: tf.Tensor, end: tf.Tensor, links: Links
) -> tf.Tensor:
    """(rows,) float32: the logarithm of the sum of exp(score) over all label sequences of each row, 0 for a row without
    words.

    emissions: (rows, words, labels) float32. start, end: (labels,); transitions: (labels, labels), from row to column.

    Source: the forward recursion in log space for linear-chain CRFs (Lafferty, McCallum and Pereira 2001). The
    gradients are marginal probabilities, which the backward recursion gives (Sutton and McCallum 2012,
    arXiv:1011.4088, section 4.1). To differentiate the loop would take (rows, labels, labels) numbers for each word.
    """
    valid, linked = (tf.transpose(one)[:, :, None] for one in (links.valid, links.linked))
    begins, ends = (tf.cast(one, tf.float32)[:, None] for one in (links.begins, links.ends))
    is_empty = ~tf.reduce_any(links.valid, axis=1)

    @tf.custom_gradient
    def summed(
        emissions: tf.Tensor, start: tf.Tensor, transitions: tf.Tensor, end: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], Any]]:
        steps = tf.transpose(emissions, [1, 0, 2])
        before = _forward(steps, begins * start, transitions, valid, linked)
        at_end = before[-1] + ends * end
        total = tf.reduce_logsumexp(at_end, axis=1)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # A row without words has no gradients.
            weight = tf.where(is_empty, 0.0, upstream)[:, None]
            after, counts = _backward(steps, before, ends * end, transitions, valid, linked, total, weight)
            of_steps = _probability(before + after - total[:, None]) * tf.where(valid, weight, 0.0)
            of_end = tf.reduce_sum(_probability(at_end - total[:, None]) * weight * ends, axis=0)
            of_start = tf.reduce_sum(of_steps[0] * begins, axis=0)
            return tf.transpose(of_steps, [1, 0, 2]), of_start, counts, of_end

        return tf.where(is_empty, 0.0, total), gradient

    return summed(emissions, start, transitions, end)


def _probability(logarithm: tf.Tensor) -> tf.Tensor:
    """exp, for values that are at most 0 but for rounding. Those of padding are arbitrary, and must stay finite."""
    return tf.exp(tf.minimum(logarithm, 0.0))


def _forward(
    steps: tf.Tensor, start: tf.Tensor, transitions: tf.Tensor, valid: tf.Tensor, linked: tf.Tensor
) -> tf.Tensor:
    """(words, rows, labels): the log-sum of all sequences up to a word that end with a label. Padding repeats the last.

    steps: (words, rows, labels). start: (rows, labels). valid, linked: (words, rows, 1).
    """
    n_words = tf.shape(steps)[0]
    first = steps[0] + start
    found = tf.TensorArray(tf.float32, n_words, element_shape=first.shape).write(0, first)

    def step(word: tf.Tensor, before: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        through = tf.reduce_logsumexp(before[:, :, None] + transitions, axis=1)
        anew = tf.reduce_logsumexp(before, axis=1, keepdims=True)
        here = tf.where(linked[word], through, anew) + steps[word]
        here = tf.where(valid[word], here, before)
        return word + 1, here, found.write(word, here)

    return tf.while_loop(lambda word, *_: word < n_words, step, (1, first, found))[-1].stack()


def _backward(
    steps: tf.Tensor,
    before: tf.Tensor,
    end: tf.Tensor,
    transitions: tf.Tensor,
    valid: tf.Tensor,
    linked: tf.Tensor,
    total: tf.Tensor,
    weight: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """(words, rows, labels): the log-sum of all sequences behind a word that has a label; and (labels, labels), the
    expected number of each transition, summed over rows with their `weight` (rows, 1).
    """
    n_words = tf.shape(steps)[0]
    last = tf.broadcast_to(end, tf.shape(steps)[1:])
    found = tf.TensorArray(tf.float32, n_words, element_shape=steps.shape[1:]).write(n_words - 1, last)

    def step(
        word: tf.Tensor, after: tf.Tensor, counts: tf.Tensor, found: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
        behind = steps[word + 1] + after
        routes = transitions + behind[:, None, :]
        through = tf.reduce_logsumexp(routes, axis=2)
        anew = tf.reduce_logsumexp(behind, axis=1, keepdims=True)
        is_there, is_linked = valid[word + 1], linked[word + 1]
        pairs = _probability(routes + (before[word] - total[:, None])[:, :, None])
        counted = tf.where(is_there & is_linked, weight, 0.0)
        counts += tf.reduce_sum(pairs * counted[:, :, None], axis=0)
        here = tf.where(is_there, tf.where(is_linked, through, anew), after)
        return word - 1, here, counts, found.write(word, here)

    begin = (n_words - 2, last, tf.zeros_like(transitions), found)
    _, _, counts, found = tf.while_loop(lambda word, *_: word >= 0, step, begin)
    return found.stack(), counts
