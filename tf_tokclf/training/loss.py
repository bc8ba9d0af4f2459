"""The loss over labelled pieces, safe in every precision and for batches without a label."""

from __future__ import annotations

from dataclasses import dataclass

from tf_tokclf.encoding.encoder import UNSCORED
from tf_tokclf.model.backend import tf


@dataclass(frozen=True)
class PieceLoss:
    """Cross-entropy of labelled pieces.

    labels are (rows, width) int, -100 where nothing is scored. smoothing: the share of the target that all labels have
    alike (Szegedy et al. 2016, arXiv:1512.00567). span_weight: what a piece weighs that has another label than the one
    numbered `outside`; where there is no such label, all pieces weigh 1.
    """

    smoothing: float = 0.0
    span_weight: float = 1.0
    outside: int | None = None

    def weight(self, labels: tf.Tensor) -> tf.Tensor:
        """What the labelled pieces weigh together, a float32 scalar: their number, if all weigh 1."""
        return tf.reduce_sum(self._weights(labels))

    def summed(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """The weighted sum over labelled pieces, a float32 scalar; divided by `weight` it is a mean.

        logits: (rows, width, labels) of any float type; in float16 a sum would overflow from 32,768 pieces on.
        """
        scored = tf.not_equal(labels, UNSCORED)
        wide = tf.cast(logits, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.where(scored, labels, tf.zeros_like(labels)), logits=wide
        )
        if self.smoothing:
            of_all_labels = tf.reduce_mean(tf.reduce_logsumexp(wide, axis=-1, keepdims=True) - wide, axis=-1)
            losses = (1 - self.smoothing) * losses + self.smoothing * of_all_labels
        return tf.reduce_sum(tf.where(scored, losses, tf.zeros_like(losses)) * self._weights(labels))

    def _weights(self, labels: tf.Tensor) -> tf.Tensor:
        scored = tf.cast(tf.not_equal(labels, UNSCORED), tf.float32)
        if self.outside is None or self.span_weight == 1:
            return scored
        is_outside = tf.equal(labels, tf.constant(self.outside, labels.dtype))
        return tf.where(is_outside, scored, scored * self.span_weight)
