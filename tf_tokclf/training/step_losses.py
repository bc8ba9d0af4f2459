"""The losses of steps, which are read late, so that a GPU does not wait for the program after each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tf_tokclf.model.backend import tf

# Each reading empties the GPU's queue, which costs it the few milliseconds that the program needs for a step. A loss
# that is not finite is noticed after this time at the latest.
SECONDS_BETWEEN = 1.0


class StepLoss:
    """The loss of a step. `float` waits until the device has computed it, and the steps before it."""

    def __init__(self, tensor: tf.Tensor, unread: UnreadLosses) -> None:
        self._tensor: tf.Tensor | None = tensor
        self._unread = unread
        self._value = 0.0

    def __float__(self) -> float:
        if self._tensor is not None:
            self._unread.read()
        return self._value

    def fetch(self) -> float:
        """Copy the loss from the device."""
        if self._tensor is not None:
            self._value, self._tensor = float(self._tensor), None
        return self._value


class UnreadLosses:
    """The losses of the latest steps, in order. They are read together.

    A GPU computes a step while the program prepares the next one. To read a loss is to wait until the GPU has finished
    all steps so far, and then the GPU waits for the program. TensorFlow also waits for steps that follow the one that
    is read. Losses are therefore read when somebody needs one, and every `SECONDS_BETWEEN`.
    """

    def __init__(self, on_read: Callable[[Sequence[float], float], None]) -> None:
        """on_read: receives the losses, and the time of each step in seconds. It is called in the thread that reads.

        Time is counted from now on.
        """
        self._on_read = on_read
        self._unread: list[StepLoss] = []
        self._read_at = time.perf_counter()

    def add(self, loss: tf.Tensor) -> StepLoss:
        """Add the loss of the next step, a float32 scalar."""
        added = StepLoss(loss, self)
        self._unread.append(added)
        if time.perf_counter() - self._read_at >= SECONDS_BETWEEN:
            self.read()
        return added

    def read(self) -> None:
        """Wait for all steps so far, and pass on their losses."""
        if not self._unread:
            return
        # The first copy waits for all steps. The time of a single step is not known.
        losses = [loss.fetch() for loss in self._unread]
        self._unread.clear()
        now = time.perf_counter()
        seconds, self._read_at = (now - self._read_at) / len(losses), now
        self._on_read(losses, seconds)
