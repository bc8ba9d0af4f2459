"""The loss over labelled pieces, safe in every precision and for batches without a label."""

from __future__ import annotations

from tf_tokclf.data.encoding import UNSCORED
from tf_tokclf.model.backend import tf


def summed_loss(
    labels: tf.Tensor, logits: tf.Tensor, *, smoothing: float = 0.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """The cross-entropy summed over labelled pieces, and how many those are: two float32 scalars.

    labels: (rows, width) int, -100 where nothing is scored. logits: (rows, width, labels) of any float type.
    smoothing: the share of the target that all labels have alike (Szegedy et al. 2016, arXiv:1512.00567).
    Both sums are taken in float32: in float16 they overflow from 32,768 pieces on.
    """
    scored = tf.not_equal(labels, UNSCORED)
    wide = tf.cast(logits, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.where(scored, labels, tf.zeros_like(labels)), logits=wide
    )
    if smoothing:
        of_all_labels = tf.reduce_mean(tf.reduce_logsumexp(wide, axis=-1, keepdims=True) - wide, axis=-1)
        losses = (1 - smoothing) * losses + smoothing * of_all_labels
    return tf.reduce_sum(tf.where(scored, losses, tf.zeros_like(losses))), tf.reduce_sum(tf.cast(scored, tf.float32))


def mean_loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The mean over labelled pieces, a float32 scalar; 0 where nothing is labelled."""
    return tf.math.divide_no_nan(*summed_loss(labels, logits))
