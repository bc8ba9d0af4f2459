"""An exponential moving average of the weights, which is scored and saved instead of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tf_tokclf.model.backend import tf
from tf_tokclf.training.distribution import Devices

# The average reaches back over 1 / (1 - decay) steps, of which this many are sampled, because the weights of
# neighbouring steps hardly differ. A sample needs a pass over all weights, and the deferred updates of the embedding
# before it. For MiniLM-L6, this costs about as much as a training step of 16 tweets.
SAMPLES_IN_REACH = 5


class WeightAverage:
    """The mean of `weights` over the steps so far, in which each step has `decay` times the weight of the next one.

    It samples steps that are spread evenly over an epoch, always including the last one, and never the initial weights.
    After n samples, the newest has the weight (1 - q) / (1 - q ** n), where q is `decay` to the power of the distance
    between two samples in steps. With `decay` None, all methods do nothing.
    """

    def __init__(
        self, weights: Sequence[tf.Variable], *, decay: float | None, steps_per_epoch: int, devices: Devices
    ) -> None:
        """Call this in the scope of `devices`, because it creates variables."""
        self._weights = list(weights) if decay is not None else []
        self._devices = devices
        self._steps_per_epoch = steps_per_epoch
        reach = 1 / (1 - decay) if decay is not None else math.inf
        self._samples_per_epoch = min(math.ceil(SAMPLES_IN_REACH * steps_per_epoch / reach), steps_per_epoch)
        self._kept = (decay or 0.0) ** (steps_per_epoch / max(self._samples_per_epoch, 1))
        self.averages = [tf.Variable(weight.read_value(), trainable=False) for weight in self._weights]
        self._add = tf.function(self._move, input_signature=[tf.TensorSpec((), tf.float32)], autograph=False)

    def is_due(self, step: int) -> bool:
        """Whether the average samples the weights after `step` steps (from 1) of an epoch."""
        return self._n_samples(step) > self._n_samples(step - 1)

    def _n_samples(self, step: int) -> int:
        return step * self._samples_per_epoch // self._steps_per_epoch

    def add(self, epoch: int, step: int) -> None:
        """Add the weights after `step` steps (from 1) of `epoch` (from 0). Call it if `is_due(step)`."""
        n_samples = epoch * self._samples_per_epoch + self._n_samples(step)
        share = (1 - self._kept) / (1 - self._kept**n_samples)
        with self._devices.scope():
            self._add(tf.constant(share, tf.float32))

    def _move(self, share: tf.Tensor) -> None:
        for average, weight in zip(self.averages, self._weights):
            average.assign_sub((average - weight) * share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Use the averages as the model's weights in the block. Afterwards the weights are restored, bit for bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        with self._devices.scope():
            for average, weight in zip(self.averages, self._weights):
                values = weight.read_value()
                weight.assign(average.read_value())
                average.assign(values)
