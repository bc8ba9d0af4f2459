"""The learning rate as a function of the step: the schedules of transformers' `get_scheduler`, as Keras schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.counted import counted
from tf_tokclf.model.backend import keras, tf

# The last learning rate of the polynomial schedule, and the time scale of inverse_sqrt without a warm-up, as in
# transformers.
POLYNOMIAL_END = 1e-7
_TIMESCALE = 10_000


@dataclass(frozen=True)
class Schedule:
    """The number of optimizer steps of a run, how many of them are the warm-up, and the kind of schedule."""

    n_steps: int
    n_warmup_steps: int
    kind: str = "linear"

    def __post_init__(self) -> None:
        if self.n_steps < 1 or self.n_warmup_steps < 0:
            raise ValueError(f"a schedule needs at least one step, and no negative number of warm-up steps: {self}")
        if self.kind not in KINDS:
            raise ValueError(f"there is no schedule {self.kind}, only {', '.join(KINDS)}")

    @classmethod
    def of(cls, config: OptimizerConfig, n_steps: int) -> Schedule:
        """The schedule of a run of `n_steps` steps. A number of warm-up steps may exceed it, a share may not."""
        by_ratio = min(round(n_steps * config.warmup_ratio), n_steps - 1)
        return cls(n_steps, config.warmup_steps or by_ratio, config.lr_scheduler_type)

    @property
    def about(self) -> str:
        """The schedule in words, such as "warm-up over 10 steps, linear decay to 0"."""
        if self.kind == "constant":
            return "constant"
        warmup = f"warm-up over {counted(self.n_warmup_steps, 'step')}" if self.n_warmup_steps else "no warm-up"
        return f"{warmup}, {KINDS[self.kind].about}"


class ScheduledRate(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate `peak` times the factor of a schedule. The step is a whole number from 0.

    The other arguments are those of `Schedule`. Computed in float64, because PyTorch computes it with Python's numbers.
    """

    def __init__(self, peak: float, n_steps: int, n_warmup_steps: int, kind: str) -> None:
        super().__init__()
        self.peak = peak
        self.schedule = Schedule(n_steps, n_warmup_steps, kind)

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """The learning rate of `step`, a number or a tensor of any shape, as a float32 tensor of that shape."""
        step = tf.cast(step, tf.float64)
        factor = KINDS[self.schedule.kind].factor(step, self.schedule, self.peak)
        if self.schedule.kind != "constant":
            warmup = float(self.schedule.n_warmup_steps)
            factor = tf.where(step < warmup, step / max(1.0, warmup), factor)
        return tf.cast(self.peak * factor, tf.float32)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the class."""
        return {"peak": self.peak, **asdict(self.schedule)}


def _share_left(step: tf.Tensor, schedule: Schedule) -> tf.Tensor:
    """The share of the steps after the warm-up that is left, 1 to 0."""
    return (schedule.n_steps - step) / max(1, schedule.n_steps - schedule.n_warmup_steps)


def _linear(step: tf.Tensor, schedule: Schedule, peak: float) -> tf.Tensor:
    return tf.maximum(_share_left(step, schedule), 0.0)


def _cosine(step: tf.Tensor, schedule: Schedule, peak: float) -> tf.Tensor:
    return 0.5 * (1 + tf.cos(math.pi * (1 - _linear(step, schedule, peak))))


def _polynomial(step: tf.Tensor, schedule: Schedule, peak: float) -> tf.Tensor:
    return ((peak - POLYNOMIAL_END) * _linear(step, schedule, peak) + POLYNOMIAL_END) / peak


def _inverse_sqrt(step: tf.Tensor, schedule: Schedule, peak: float) -> tf.Tensor:
    timescale = schedule.n_warmup_steps or _TIMESCALE
    # The maximum is for steps of the warm-up, whose factor is another.
    since = tf.maximum(step - schedule.n_warmup_steps, 0.0)
    return 1 / tf.sqrt((since + timescale) / timescale)


def _constant(step: tf.Tensor, schedule: Schedule, peak: float) -> tf.Tensor:
    return tf.ones_like(step)


@dataclass(frozen=True)
class _Kind:
    """about: what follows the warm-up, in words. factor: of a step after the warm-up."""

    about: str
    factor: Callable[[tf.Tensor, Schedule, float], tf.Tensor]


# transformers' defaults make cosine_with_restarts the same as cosine: one cycle, which is never restarted.
KINDS: Mapping[str, _Kind] = {
    "linear": _Kind("linear decay to 0", _linear),
    "cosine": _Kind("cosine decay to 0", _cosine),
    "cosine_with_restarts": _Kind("cosine decay to 0 in one cycle", _cosine),
    "polynomial": _Kind(f"linear decay to {POLYNOMIAL_END:g}", _polynomial),
    "constant": _Kind("constant", _constant),
    "constant_with_warmup": _Kind("then constant", _constant),
    "inverse_sqrt": _Kind("decay by the inverse square root of the step", _inverse_sqrt),
}
