"""AdamW with linear warm-up and decay: transformers' `create_optimizer`, with its traps closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.model.backend import keras, tf, transformers


@dataclass(frozen=True)
class Schedule:
    """How many updates a run makes and how many of them warm up."""

    n_steps: int
    n_warmup_steps: int

    def __post_init__(self) -> None:
        # create_optimizer answers 0 steps with a learning rate of nan.
        if self.n_steps < 1 or not 0 <= self.n_warmup_steps < self.n_steps:
            raise ValueError(f"a schedule needs steps, and fewer to warm up in: {self}")

    @classmethod
    def of(cls, config: OptimizerConfig, n_steps: int) -> Schedule:
        """The schedule of a run of `n_steps` updates."""
        return cls(n_steps, min(round(n_steps * config.warmup_ratio), n_steps - 1))


def make_optimizer(config: OptimizerConfig, schedule: Schedule, *, loss_scaling: bool) -> keras.optimizers.Optimizer:
    """The optimizer of a run; gradients are clipped in the training step, which sees them whole.

    loss_scaling: wrap it for float16, whose small gradients would vanish.
    """
    like, rate = transformers.create_optimizer(
        init_lr=config.learning_rate,
        num_train_steps=schedule.n_steps,
        num_warmup_steps=schedule.n_warmup_steps,
        # Without decay create_optimizer answers with another class, which keeps its state elsewhere.
        weight_decay_rate=config.weight_decay or 1.0,
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        adam_epsilon=config.adam_epsilon,
    )
    optimizer = LazyAdamWeightDecay(
        learning_rate=rate,
        beta_1=config.adam_beta1,
        beta_2=config.adam_beta2,
        epsilon=config.adam_epsilon,
        weight_decay_rate=config.weight_decay,
        exclude_from_weight_decay=like._exclude_from_weight_decay,
    )
    return keras.mixed_precision.LossScaleOptimizer(optimizer) if loss_scaling else optimizer


def create_slots(optimizer: keras.optimizers.Optimizer, weights: Sequence[tf.Variable]) -> None:
    """Make all variables of `optimizer` now that the first update would make."""
    optimizer._create_all_weights(weights)


class LazyAdamWeightDecay(transformers.AdamWeightDecay):
    """transformers' AdamW that leaves rows of an embedding alone in steps whose batch does not hold their piece.

    The original moves all rows of both moments and of the weights in every step, for MiniLM 62 of 85 ms on two cores.
    Rows that the batch holds get the original's update: its moments, its decay, its learning rate.
    """

    def _resource_apply_sparse(
        self, grad: tf.Tensor, var: tf.Variable, indices: tf.Tensor, apply_state: dict | None = None
    ) -> tf.Operation:
        rate, _ = self._get_lr(var.device, var.dtype.base_dtype, apply_state)
        state = (apply_state or {})[(var.device, var.dtype.base_dtype)]
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        new_m = tf.gather(m, indices) * state["beta_1_t"] + grad * state["one_minus_beta_1_t"]
        new_v = tf.gather(v, indices) * state["beta_2_t"] + tf.square(grad) * state["one_minus_beta_2_t"]
        rows = tf.gather(var, indices)
        if self._do_use_weight_decay(var.name):
            rows -= rows * (rate * state["weight_decay_rate"])
        bias_correction = tf.sqrt(1 - state["beta_2_power"]) / (1 - state["beta_1_power"])
        rows -= rate * bias_correction * new_m / (tf.sqrt(new_v) + state["epsilon"])
        return tf.group(
            m.scatter_update(tf.IndexedSlices(new_m, indices)),
            v.scatter_update(tf.IndexedSlices(new_v, indices)),
            var.scatter_update(tf.IndexedSlices(rows, indices)),
        )

    def _decay_weights_op(self, var: tf.Variable, learning_rate: tf.Tensor, apply_state: dict) -> tf.Operation:
        if not self._do_use_weight_decay(var.name):
            return tf.no_op()
        # The two scalars first: one pass over the weights less.
        rate = learning_rate * apply_state[(var.device, var.dtype.base_dtype)]["weight_decay_rate"]
        return var.assign_sub(var * rate, use_locking=self._use_locking)


Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices


def clipped(gradients: list[Gradient], norm: float | None) -> list[Gradient]:
    """The gradients, scaled down to a global norm of at most `norm`.

    Embedding gradients arrive as rows, one per piece, of which those of the same piece have to be summed before the
    norm is taken (tf.clip_by_global_norm does not).
    """
    summed = [_one_row_each(g) if isinstance(g, tf.IndexedSlices) else g for g in gradients]
    return tf.clip_by_global_norm(summed, norm)[0] if norm is not None else summed


def _one_row_each(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    indices, place = tf.unique(gradient.indices)
    rows = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(indices))
    return tf.IndexedSlices(rows, indices, gradient.dense_shape)


def learning_rate_at(optimizer: keras.optimizers.Optimizer, step: int) -> float:
    """The learning rate of update number `step`, from 0."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    rate = inner.learning_rate if not hasattr(inner, "_learning_rate") else inner._learning_rate
    return float(rate(step)) if callable(rate) else float(rate)
