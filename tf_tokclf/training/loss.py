"""The loss over labelled subword tokens. It works in every precision, and for batches without labels."""

from __future__ import annotations

from dataclasses import dataclass

from tf_tokclf.encoding.encoder import UNSCORED
from tf_tokclf.model.backend import tf


@dataclass(frozen=True)
class PieceLoss:
    """Cross-entropy of labelled subword tokens.

    Labels are (rows, width) int, -100 where nothing is scored. smoothing: the share of each target that is spread
    evenly over all labels (Szegedy et al. 2016, arXiv:1512.00567). outside: the id of the label O, None if there is
    none. span_weight: the weight of tokens with any other label than `outside`; without it, all tokens have weight 1.
    """

    smoothing: float = 0.0
    span_weight: float = 1.0
    outside: int | None = None

    def weight(self, labels: tf.Tensor) -> tf.Tensor:
        """The total weight of the labelled subword tokens, a float32 scalar."""
        return tf.reduce_sum(self._weights(labels))

    def summed(
        self,
        labels: tf.Tensor,
        logits: tf.Tensor,
        row_weights: tf.Tensor | None = None,
        targets: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The weighted sum over labelled subword tokens, a float32 scalar. Divide it by `weight` to get the mean.

        logits: (rows, width, labels) of any float type. A sum in float16 would overflow from 32,768 tokens on.
        row_weights: (rows,) float32 factors of the losses of each row. None: 1. targets: (rows, width, labels) float32
        probabilities of labels (Hinton et al. 2015, arXiv:1503.02531). None: 1 for the label.
        """
        scored = tf.not_equal(labels, UNSCORED)
        wide = tf.cast(logits, tf.float32)
        if targets is not None:
            losses = tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=wide)
        else:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=tf.where(scored, labels, tf.zeros_like(labels)), logits=wide
            )
        if self.smoothing:
            of_all_labels = tf.reduce_mean(tf.reduce_logsumexp(wide, axis=-1, keepdims=True) - wide, axis=-1)
            losses = (1 - self.smoothing) * losses + self.smoothing * of_all_labels
        losses = tf.where(scored, losses, tf.zeros_like(losses)) * self._weights(labels)
        return tf.reduce_sum(losses if row_weights is None else losses * row_weights[:, None])

    def _weights(self, labels: tf.Tensor) -> tf.Tensor:
        scored = tf.cast(tf.not_equal(labels, UNSCORED), tf.float32)
        if self.outside is None or self.span_weight == 1:
            return scored
        is_outside = tf.equal(labels, tf.constant(self.outside, labels.dtype))
        return tf.where(is_outside, scored, scored * self.span_weight)
