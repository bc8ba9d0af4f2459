"""An estimate of the time and the memory that a run needs, before it starts.

The time follows from the number of arithmetic operations and the speed of a matrix product on this machine. The memory
follows from the sizes of weights and activations (Korthikanti et al. 2022, arXiv:2205.05198, table 2). Both are rough:
the factors come from a few runs with BERT encoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_tokclf.config.cluster import cluster_of
from tf_tokclf.encoding.model_config import model_config
from tf_tokclf.model.matrix_speed import matrix_speed
from tf_tokclf.model.parallel import has_gpu

if TYPE_CHECKING:
    from tf_tokclf.training.plan import RunPlan

# Training reaches this share of the speed of a matrix product. Norms, softmax, dropout and the update take the rest.
SHARE_OF_SPEED = 0.4
# A step takes at least this time, however small the batch is.
SHORTEST_STEP_S = 0.015
# The time to build, trace, save and load the model, in seconds.
START_S = 7.0
# The memory of Python and TensorFlow without a model.
BASE_BYTES = 1.1e9
# Four numbers in float32: a weight, its gradient and the two moments of Adam.
BYTES_PER_WEIGHT = 16


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder that determine its arithmetic: width, width of the feed-forward layers, number of layers
    and of attention heads, and rows and width of the embedding.
    """

    width: int
    inner: int
    n_layers: int
    n_heads: int
    n_tokens: int
    embedding_width: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape | None:
        """From the content of config.json. None if sizes are missing."""
        width = _number(config, "hidden_size", "dim", "emb_dim", "d_model")
        n_layers = _number(config, "num_hidden_layers", "n_layers", "n_layer", "num_layers")
        if not width or not n_layers:
            return None
        return cls(
            width,
            inner=_number(config, "intermediate_size", "hidden_dim", "d_inner") or 4 * width,
            n_layers=n_layers,
            n_heads=_number(config, "num_attention_heads", "n_heads", "n_head") or 1,
            n_tokens=_number(config, "vocab_size"),
            embedding_width=_number(config, "embedding_size") or width,
        )

    @property
    def weights_per_layer(self) -> int:
        """The weights in the matrices of a layer: four of attention, two of the feed-forward layer."""
        return 4 * self.width**2 + 2 * self.width * self.inner

    @property
    def n_weights(self) -> int:
        """The weights of all layers and of the embedding."""
        return self.n_layers * self.weights_per_layer + self.n_tokens * self.embedding_width

    def operations(self, n_rows: int, length: int) -> float:
        """Floating-point operations of a forward pass over windows of `length` subword tokens."""
        per_token = 2.0 * self.weights_per_layer + 4.0 * length * self.width
        return n_rows * length * self.n_layers * per_token

    def activation_bytes(
        self, n_rows: int, length: int, *, bytes_per_number: int, gradient_checkpointing: bool = False
    ) -> float:
        """Memory of what a forward pass keeps for the gradients.

        gradient_checkpointing: whether only the inputs of all layers, and the results of a single layer, are kept.
        """
        of_layer = 34 * self.width + 5 * self.n_heads * length
        of_input = 2 * self.width
        per_token = of_layer + self.n_layers * of_input if gradient_checkpointing else self.n_layers * of_layer
        return n_rows * length * per_token * bytes_per_number / 2


@dataclass(frozen=True)
class Estimate:
    """seconds: of the whole run. n_bytes: the most memory at one time. on_gpu: whether that is memory of a GPU."""

    seconds: float
    n_bytes: float
    on_gpu: bool

    def __str__(self) -> str:
        memory = "GPU memory" if self.on_gpu else "memory"
        time = f"about {rough_duration(self.seconds)} if the machine does nothing else"
        return f"{time}, and {self.n_bytes / 1e9:.1f} GB of {memory}"


def estimate(plan: RunPlan) -> Estimate | None:
    """The estimate for a plan, with a measurement of about 0.1 s. None for several hosts, because TensorFlow must not
    compute before they are connected, and for encoders of unknown sizes.
    """
    shape = Shape.of(model_config(plan.encoder_folder))
    if shape is None or cluster_of(plan.config.training.strategy):
        return None
    dtype = plan.precision.policy.removeprefix("mixed_")
    epoch = plan.batches.plan(0)
    n_rows, lengths = np.array([len(rows) for rows in epoch.rows]), epoch.widths
    speed = matrix_speed(dtype, shape.width, shape.inner)
    bytes_per_number = 4 if dtype == "float32" else 2
    on_gpu = has_gpu()
    recomputes = plan.config.training.gradient_checkpointing
    largest = max(
        shape.activation_bytes(
            int(n), int(length), bytes_per_number=bytes_per_number, gradient_checkpointing=recomputes
        )
        for n, length in zip(n_rows, lengths)
    )
    operations = sum(shape.operations(int(n), int(length)) for n, length in zip(n_rows, lengths))
    return Estimate(
        seconds=_seconds(plan, operations / speed / SHARE_OF_SPEED, n_batches=len(epoch)),
        n_bytes=(0.0 if on_gpu else BASE_BYTES) + shape.n_weights * BYTES_PER_WEIGHT + largest,
        on_gpu=on_gpu,
    )


def _seconds(plan: RunPlan, forward: float, *, n_batches: int) -> float:
    """The time of a run. forward: seconds for a forward pass over the training windows."""
    splits, timetable = plan.splits, plan.timetable
    n_epochs = timetable.n_steps / timetable.steps_per_epoch
    # The gradient takes twice the time of the forward pass.
    n_passes = 4 if plan.config.training.gradient_checkpointing else 3
    training = max(n_passes * forward, n_batches * SHORTEST_STEP_S)
    per_word = forward / max(splits.n_trained_words, 1)
    validation = per_word * splits.validation.n_words
    # The saved model is scored in float32.
    scoring = 2 * (validation + per_word * (splits.test.n_words if splits.test else 0))
    return START_S + n_epochs * training + len(timetable.scored) * validation + scoring


def rough_duration(seconds: float) -> str:
    """A duration with one significant digit.

    >>> rough_duration(44), rough_duration(1330), rough_duration(6000), rough_duration(60_000)
    ('40 s', '20 min', '2 h', '20 h')
    """
    if seconds < 55:
        return f"{max(round(seconds / 10), 1) * 10} s"
    number, unit = (seconds / 60, "min") if seconds < 55 * 60 else (seconds / 3600, "h")
    return f"{float(f'{max(number, 1):.1g}'):.0f} {unit}"


def _number(config: Mapping[str, Any], *names: str) -> int:
    found = (config.get(name) for name in names)
    return next((number for number in found if isinstance(number, int) and number > 0), 0)
