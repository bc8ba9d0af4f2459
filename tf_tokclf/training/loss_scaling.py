"""Loss scaling for float16 that never waits for the GPU.

Small gradients would become 0 in float16, so the loss is multiplied by a large number, and the gradients are divided by
it. If a gradient overflows, the step changes nothing, and the number is halved. Keras' LossScaleOptimizer decides this
with `tf.cond`, for which the program has to read the result from the GPU in the middle of each step. Here the GPU
decides: it computes the same update with gradients and rates that change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tf_tokclf.model.backend import keras, tf
from tf_tokclf.training.optimizer import Gradient, clip_factor, global_norm


def apply_if_finite(
    optimizer: keras.mixed_precision.LossScaleOptimizer,
    gradients: Sequence[Gradient],
    weights: Sequence[tf.Variable],
    *,
    clip_norm: float | None,
) -> None:
    """Update `weights` unless a gradient is not finite, and adapt the loss scale.

    gradients: unscaled, summed over the replicas, with one row for each token. They are scaled down to a global norm of
    at most `clip_norm`.
    """
    norm = global_norm(gradients)
    is_finite = tf.math.is_finite(norm)
    factor = clip_factor(norm, clip_norm)
    factor = tf.where(is_finite, tf.ones_like(norm) if factor is None else factor, 0.0)
    _adapt(optimizer, is_finite)
    optimizer.inner_optimizer.update(gradients, weights, factor=factor, condition=is_finite)


def _adapt(optimizer: keras.mixed_precision.LossScaleOptimizer, is_finite: tf.Tensor) -> None:
    """Halve the loss scale if a gradient was not finite. Double it after a number of steps without such a gradient."""
    state = optimizer._loss_scale
    scale, counter = state.current_loss_scale, state.counter
    n_good = counter + 1
    is_doubled = tf.logical_and(is_finite, n_good >= state.growth_steps)
    doubled = scale * state.multiplier
    raised = tf.where(tf.logical_and(is_doubled, tf.math.is_finite(doubled)), doubled, scale)
    new_scale = tf.where(is_finite, raised, tf.maximum(scale / state.multiplier, 1.0))
    new_counter = tf.where(tf.logical_and(is_finite, tf.logical_not(is_doubled)), n_good, tf.zeros_like(n_good))

    def update(strategy: tf.distribute.Strategy, new_scale: tf.Tensor, new_counter: tf.Tensor) -> None:
        for variable, value in ((scale, new_scale), (counter, new_counter)):
            strategy.extended.update(variable, _assign, args=(value,), group=False)

    strategy = tf.distribute.get_strategy()
    tf.__internal__.distribute.interim.maybe_merge_call(update, strategy, new_scale, new_counter)


def _assign(variable: tf.Variable, value: tf.Tensor) -> None:
    variable.assign(value)
