"""AdamW with linear warm-up and decay: transformers' `create_optimizer`, with its traps closed."""

from __future__ import annotations

from dataclasses import dataclass

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
    optimizer, _ = transformers.create_optimizer(
        init_lr=config.learning_rate,
        num_train_steps=schedule.n_steps,
        num_warmup_steps=schedule.n_warmup_steps,
        weight_decay_rate=config.weight_decay,
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        adam_epsilon=config.adam_epsilon,
    )
    return keras.mixed_precision.LossScaleOptimizer(optimizer) if loss_scaling else optimizer


def clipped(gradients: list[tf.Tensor | tf.IndexedSlices], norm: float | None) -> list[tf.Tensor]:
    """Dense gradients, scaled down to a global norm of at most `norm`.

    Embedding gradients arrive as rows, one per piece, of which those of the same piece have to be summed before the
    norm is taken (tf.clip_by_global_norm does not). Dense ones also take Adam's fused update.
    """
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return tf.clip_by_global_norm(dense, norm)[0] if norm is not None else dense


def learning_rate_at(optimizer: keras.optimizers.Optimizer, step: int) -> float:
    """The learning rate of update number `step`, from 0."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    rate = inner.learning_rate if not hasattr(inner, "_learning_rate") else inner._learning_rate
    return float(rate(step)) if callable(rate) else float(rate)
