"""An exponential moving average of the weights, which is scored and saved instead of the weights."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tf_tokclf.model.backend import tf
from tf_tokclf.training.distribution import Devices
from tf_tokclf.training.timetable import Timetable

# The average reaches back over 1 / (1 - decay) steps, of which this many are sampled, because the weights of
# neighbouring steps hardly differ. A sample needs a pass over all weights, and the deferred updates of the embedding
# before it. For MiniLM-L6, this costs about as much as a training step of 16 tweets.
SAMPLES_IN_REACH = 5


class WeightAverage:
    """The mean of `weights` over the steps so far, in which each step has `decay` times the weight of the next one.

    It samples steps that are spread evenly over an epoch, always including the last one, and steps that are scored, but
    never the initial weights. A sample at step t, d steps after the one before, gets the weight (1 - decay ** d) / (1 -
    decay ** t). With `decay` None, all methods do nothing.
    """

    def __init__(
        self, weights: Sequence[tf.Variable], *, decay: float | None, timetable: Timetable, devices: Devices
    ) -> None:
        """Call this in the scope of `devices`, because it creates variables."""
        self._weights = list(weights) if decay is not None else []
        self._devices = devices
        self._decay = decay or 0.0
        self._steps_per_epoch = steps_per_epoch = timetable.steps_per_epoch
        reach = 1 / (1 - decay) if decay is not None else math.inf
        self._samples_per_epoch = min(math.ceil(SAMPLES_IN_REACH * steps_per_epoch / reach), steps_per_epoch)
        # Of the steps that are scored, those that are not sampled anyway.
        others = (step for step in timetable.scored if self._n_samples(step) == self._n_samples(step - 1))
        self._others = list(others) if decay is not None else []
        self.averages = [tf.Variable(weight.read_value(), trainable=False) for weight in self._weights]
        self._add = tf.function(self._move, input_signature=[tf.TensorSpec((), tf.float32)], autograph=False)

    def is_due(self, step: int) -> bool:
        """Whether the average samples the weights after `step` steps of the run."""
        return self._n_samples(step) > self._n_samples(step - 1) or self._is_other(step)

    def _n_samples(self, step: int) -> int:
        """The number of evenly spread samples in the first `step` steps."""
        return step * self._samples_per_epoch // self._steps_per_epoch

    def _is_other(self, step: int) -> bool:
        place = bisect_left(self._others, step)
        return place < len(self._others) and self._others[place] == step

    def _time_of(self, n_samples: int) -> float:
        """When an evenly spread sample is taken, in steps. The step itself is the next whole number."""
        return n_samples * self._steps_per_epoch / max(self._samples_per_epoch, 1)

    def add(self, step: int) -> None:
        """Add the weights after `step` steps of the run. Call it if `is_due(step)`."""
        time = float(step) if self._is_other(step) else self._time_of(self._n_samples(step))
        others_before = self._others[: bisect_left(self._others, step)][-1:]
        before = max([self._time_of(self._n_samples(step - 1)), *others_before])
        share = (1 - self._decay ** (time - before)) / (1 - self._decay**time)
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
