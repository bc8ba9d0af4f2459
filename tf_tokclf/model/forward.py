"""TensorFlow's forward pass: from padded batches of any shape to log-probabilities of selected tokens, traced once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from tf_tokclf.cpu import MAX_LANES
from tf_tokclf.encoding.model_config import model_config
from tf_tokclf.encoding.model_types import facts_of
from tf_tokclf.forward_pass import PassFacts
from tf_tokclf.model.architectures.registry import architecture_of
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.memory import traced_gradients_forgotten
from tf_tokclf.model.parallel import has_gpu, n_lanes
from tf_tokclf.model.precision import choose_precision
from tf_tokclf.model.rows import packed

# Widths are rounded up to a multiple, because the math library prepares each distinct shape once.
WIDTH_MULTIPLE = 8
# The number of windows per forward pass, for up to 256 windows and for more. It is small on CPUs, because the windows
# of a small batch have similar lengths and need little padding. It does not depend on the number of cores, so that
# scores do not: the size of a pass changes their last bits.
#
# MiniLM-L6 on two cores with AMX: 1,280 tweets at once ran at 268 per second in passes of 8, 260 of 16, 233 of 32. 32
# tweets at once ran at 201 per second in passes of 4, 169 of 8, 112 of 16. With AVX2, 1,287 tweets ran at 151, 172 and
# 148 per second in passes of 8, 16 and 32.
ROWS_ON_CPU = 4, 16
ROWS_ON_GPU = 32, 32


# input_ids, lengths and positions of `ForwardPass`.
_SIGNATURE = (
    tf.TensorSpec((None, None), tf.int32),
    tf.TensorSpec((None,), tf.int32),
    tf.TensorSpec((None, 2), tf.int32),
)


class TensorFlowPass:
    """The forward pass of a Keras model."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._forward = forward_function(model)
        self._hidden: Callable[[np.ndarray, np.ndarray, np.ndarray], tf.Tensor] | None = None
        on_gpu = has_gpu()
        self.facts = PassFacts(
            engine=f"tensorflow {tf.__version__}",
            precision=model.compute_dtype,
            model_type=getattr(model.config, "model_type", "model"),
            vocabulary_size=getattr(model.config, "vocab_size", None),
            needs_equal_lengths=facts_of(getattr(model.config, "model_type", None)).reads_padding,
            width_multiple=WIDTH_MULTIPLE,
            rows_a_pass=ROWS_ON_GPU if on_gpu else ROWS_ON_CPU,
            lanes=n_lanes(),
            most_lanes=1 if on_gpu else MAX_LANES,
        )

    @classmethod
    def load(cls, folder: Path, *, precision: str, trust_remote_code: bool = False) -> TensorFlowPass:
        """Load the classifier in a model folder. precision: a Keras policy, or "auto"."""
        chosen = choose_precision(precision, model_type=model_config(folder).get("model_type", ""))
        return cls(load_classifier(folder, precision=chosen, trust_remote_code=trust_remote_code))

    def __call__(self, input_ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> tf.Tensor:
        """As `ForwardPass`."""
        try:
            return self._forward(input_ids, lengths, positions)
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError from error

    def hidden_states(self, input_ids: np.ndarray, lengths: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """As `HiddenStates`."""
        if self._hidden is None:
            self._hidden = hidden_state_function(self.model)
        try:
            states: np.ndarray = self._hidden(input_ids, lengths, positions).numpy()
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError from error
        return states


def piece_logits(
    model: keras.Model, input_ids: tf.Tensor, attention_mask: tf.Tensor, *, training: bool, padded: bool = False
) -> tf.Tensor:
    """(rows, width, labels) logits. Those at padding are not valid.

    padded: compute padding like tokens. Compilers need shapes that follow from the shape of the batch.
    """
    with nullcontext() if padded else packed():
        return model(input_ids=input_ids, attention_mask=attention_mask, training=training).logits


def forward_function(model: keras.Model) -> Callable[[np.ndarray, np.ndarray, np.ndarray], tf.Tensor]:
    """A function of input_ids (rows, width) int32, lengths (rows,) int32 and positions (tokens, 2) int32.

    It returns the log-probabilities (tokens, labels) float32 of the tokens at these (row, column) positions. They have
    no gradients.
    """

    @tf.function(input_signature=_SIGNATURE, autograph=architecture_of(model).needs_autograph)
    def forward(input_ids: tf.Tensor, lengths: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        mask = tf.sequence_mask(lengths, tf.shape(input_ids)[1], dtype=tf.int32)
        # This runs while the function is traced. Without it, TensorFlow would keep every model that was loaded.
        with traced_gradients_forgotten():
            logits = piece_logits(model, input_ids, mask, training=False)
        return tf.nn.log_softmax(tf.cast(tf.gather_nd(logits, positions), tf.float32))

    return forward


def hidden_state_function(model: keras.Model) -> Callable[[np.ndarray, np.ndarray, np.ndarray], tf.Tensor]:
    """A function like `forward_function`, for the last hidden states (tokens, width) float32 of the encoder."""
    # Every class of transformers names its encoder so. Those of this project return the states without a wrapper.
    encoder = getattr(model, model.base_model_prefix)

    @tf.function(input_signature=_SIGNATURE, autograph=architecture_of(model).needs_autograph)
    def hidden(input_ids: tf.Tensor, lengths: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        mask = tf.sequence_mask(lengths, tf.shape(input_ids)[1], dtype=tf.int32)
        with traced_gradients_forgotten():
            output = encoder(input_ids=input_ids, attention_mask=mask, training=False)
        states = output if isinstance(output, tf.Tensor) else output[0]
        return tf.cast(tf.gather_nd(states, positions), tf.float32)

    return hidden
