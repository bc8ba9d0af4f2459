"""An exponential moving average of the weights, which is scored and saved in their place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tf_tokclf.model.backend import tf
from tf_tokclf.training.distribution import Devices

# Of so many steps as an average reaches back, 1 / (1 - decay), this many enter it, since the weights of neighbouring
# steps hardly differ. One costs a pass over all weights and, before it, the updates of embeddings that were put off:
# for MiniLM-L6 together about as much as a training step of 16 tweets.
SAMPLES_IN_REACH = 5


class WeightAverage:
    """The mean of `weights` over the steps so far, a step counting `decay` times what the next one does.

    Steps evenly spread over an epoch enter it, the last one always, and the start of training never: after n of them
    the newest counts (1 - q) / (1 - q ** n), where q is `decay` to the power of their distance. Without a `decay`
    there is no average, and everything here does nothing.
    """

    def __init__(
        self, weights: Sequence[tf.Variable], *, decay: float | None, steps_per_epoch: int, devices: Devices
    ) -> None:
        """To be called in the scope of `devices`."""
        self._weights = list(weights) if decay is not None else []
        self._devices = devices
        self._steps_per_epoch = steps_per_epoch
        reach = 1 / (1 - decay) if decay is not None else math.inf
        self._samples_per_epoch = min(math.ceil(SAMPLES_IN_REACH * steps_per_epoch / reach), steps_per_epoch)
        self._kept = (decay or 0.0) ** (steps_per_epoch / max(self._samples_per_epoch, 1))
        self.averages = [tf.Variable(weight.read_value(), trainable=False) for weight in self._weights]
        self._add = tf.function(self._move, input_signature=[tf.TensorSpec((), tf.float32)], autograph=False)

    def is_due(self, step: int) -> bool:
        """Whether the weights after `step` steps of an epoch (from 1) enter the average."""
        return self._n_samples(step) > self._n_samples(step - 1)

    def _n_samples(self, step: int) -> int:
        return step * self._samples_per_epoch // self._steps_per_epoch

    def add(self, epoch: int, step: int) -> None:
        """Take in the weights after `step` steps (from 1) of `epoch` (from 0), when that is due."""
        n_samples = epoch * self._samples_per_epoch + self._n_samples(step)
        share = (1 - self._kept) / (1 - self._kept**n_samples)
        with self._devices.scope():
            self._add(tf.constant(share, tf.float32))

    def _move(self, share: tf.Tensor) -> None:
        for average, weight in zip(self.averages, self._weights):
            average.assign_sub((average - weight) * share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The averages are the model's weights inside the block; afterwards these are what they were, bit for bit."""
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
