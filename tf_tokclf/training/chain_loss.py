"""The loss of a CRF: the negative log-likelihood of the gold label sequences.

The sequence of a window has one item for each word that the window labels. Special tokens, later subword tokens of a
word and context are not part of it. A sentence in several windows is divided into as many sequences, so that each is
computed from one window, like its gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tf_tokclf.encoding.chain_codes import BEGINS, ENDS, N_FLAGS
from tf_tokclf.encoding.encoder import UNSCORED
from tf_tokclf.model.backend import tf
from tf_tokclf.model.crf import FORBIDDEN, Crf
from tf_tokclf.training.forward_backward import Links, log_sum_of_sequences


@dataclass(frozen=True)
class ChainLoss:
    """The negative log-likelihood of label sequences under a CRF (Lafferty, McCallum and Pereira 2001).

    Labels are (rows, width) int, as `chain_codes` writes them. Words without a gold label can have any: the likelihood
    is summed over all of their labels. Gold sequences may contain transitions that the scheme does not allow. There
    they are cut, and the parts are independent.

    fixed_shapes: do not cut rows to their longest sequence, because a compiler needs shapes that follow from those of
    the batch.
    """

    crf: Crf
    fixed_shapes: bool = False

    def weight(self, labels: tf.Tensor) -> tf.Tensor:
        """The number of words with a gold label, a float32 scalar."""
        return tf.reduce_sum(tf.cast(labels >= N_FLAGS, tf.float32))

    def summed(
        self,
        labels: tf.Tensor,
        logits: tf.Tensor,
        row_weights: tf.Tensor | None = None,
        targets: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The sum over sequences, a float32 scalar. Divide it by `weight` to get the mean per word.

        logits: (rows, width, labels) of any float type. row_weights: (rows,) float32 factors of the loss of each row.
        None: 1. targets: must be None, because the likelihood is that of label sequences.
        """
        if targets is not None:
            raise ValueError("a CRF cannot learn probabilities of single labels")
        is_word = tf.not_equal(labels, UNSCORED)
        n_words = tf.reduce_sum(tf.cast(is_word, tf.int32), axis=1)
        # The words of each row, moved to its front in their order.
        order = tf.argsort(tf.cast(~is_word, tf.int32), axis=1, stable=True)
        if not self.fixed_shapes:
            order = order[:, : tf.maximum(tf.reduce_max(n_words), 1)]
        valid = tf.range(tf.shape(order)[1]) < n_words[:, None]
        rows = tf.broadcast_to(tf.range(tf.shape(order)[0])[:, None], tf.shape(order))
        places = tf.stack([rows, order], axis=2)
        codes = tf.where(valid, tf.cast(tf.gather_nd(labels, places), tf.int32), 0)
        scores = tf.cast(tf.gather_nd(logits, places), tf.float32)
        # A constant that is added to all logits of a word changes nothing. Small sums are more exact.
        emissions = tf.nn.log_softmax(tf.where(valid[:, :, None], scores, 0.0))
        gold = tf.where(valid, codes // N_FLAGS - 1, -1)
        links = self._links(codes, gold, valid, n_words)
        transitions = self.crf.scores()
        possible = log_sum_of_sequences(emissions, *transitions, links)

        def fully_labelled() -> tf.Tensor:
            return _score(emissions, *transitions, gold, links, n_words)

        def partly_labelled() -> tf.Tensor:
            fits = (gold[:, :, None] < 0) | tf.equal(gold[:, :, None], tf.range(tf.shape(emissions)[2]))
            return log_sum_of_sequences(emissions + tf.where(fits, 0.0, FORBIDDEN), *transitions, links)

        is_partly = tf.reduce_any(valid & (gold < 0))
        losses = possible - tf.cond(is_partly, partly_labelled, fully_labelled)
        return tf.reduce_sum(losses if row_weights is None else losses * row_weights)

    def _links(self, codes: tf.Tensor, gold: tf.Tensor, valid: tf.Tensor, n_words: tf.Tensor) -> Links:
        start, transitions, end = (tf.constant(np.isfinite(part)) for part in self.crf.rules.parts)
        is_known, label = gold >= 0, tf.maximum(gold, 0)
        last = tf.maximum(n_words - 1, 0)[:, None]
        of_last = tf.gather(label, last, batch_dims=1)[:, 0], tf.gather(is_known, last, batch_dims=1)[:, 0]
        pairs = tf.stack([label[:, :-1], label[:, 1:]], axis=2)
        allowed = tf.gather_nd(transitions, pairs) | ~(is_known[:, :-1] & is_known[:, 1:])
        return Links(
            valid=valid,
            linked=tf.pad(allowed, [[0, 0], [1, 0]]) & valid,
            begins=_has_flag(codes, BEGINS) & (tf.gather(start, label[:, 0]) | ~is_known[:, 0]),
            ends=_has_flag(codes, ENDS) & (tf.gather(end, of_last[0]) | ~of_last[1]),
        )


def _has_flag(codes: tf.Tensor, flag: int) -> tf.Tensor:
    """(rows,) whether a word of the row has the flag."""
    return tf.reduce_any(tf.bitwise.bitwise_and(codes, flag) > 0, axis=1)


def _score(
    emissions: tf.Tensor,
    start: tf.Tensor,
    transitions: tf.Tensor,
    end: tf.Tensor,
    gold: tf.Tensor,
    links: Links,
    n_words: tf.Tensor,
) -> tf.Tensor:
    """(rows,) the score of the gold sequence of each row."""
    # Products with one-hot vectors instead of gathers, because XLA cannot compile the gradients of gathers.
    chosen = tf.one_hot(gold, tf.shape(emissions)[2])
    is_last = tf.equal(tf.range(tf.shape(gold)[1]), n_words[:, None] - 1)
    own = emissions * chosen + tf.where(is_last & links.ends[:, None], 1.0, 0.0)[:, :, None] * chosen * end
    between = tf.where(links.linked[:, 1:, None], (chosen[:, :-1] @ transitions) * chosen[:, 1:], 0.0)
    first = tf.where(links.begins[:, None], chosen[:, 0] * start, 0.0)
    return tf.reduce_sum(own, axis=[1, 2]) + tf.reduce_sum(between, axis=[1, 2]) + tf.reduce_sum(first, axis=1)
