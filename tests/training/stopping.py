"""Stop a training as a user does."""

from __future__ import annotations

import os
import signal

from tf_tokclf.model.backend import keras


class StopAfter(keras.callbacks.Callback):
    """Sends SIGTERM to this process after `n_steps` steps."""

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        self.n_left = n_steps

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.n_left -= 1
        if self.n_left == 0:
            os.kill(os.getpid(), signal.SIGTERM)
