"""LayoutLMv3: the biases of positions are fixed, and attention in float16."""

from __future__ import annotations

from tf_tokclf.model.backend import keras, tf


def correct_layoutlmv3(model: keras.Model) -> None:
    """Correct two faults of the TensorFlow class.

    It trains the biases of positions, which PyTorch looks up without a gradient. It adds -1e8 at padding. In float16
    this is minus infinity, which is also multiplied by 0, at tokens.
    """
    main, dtype = model.layoutlmv3, model.compute_dtype
    for name in ("rel_pos_bias", "rel_pos_x_bias", "rel_pos_y_bias"):
        if (bias := getattr(main.encoder, name, None)) is not None:
            bias.trainable = False

    def added_to_scores(attention_mask: tf.Tensor) -> tf.Tensor:
        """(rows, width), 0 at padding, to (rows, 1, 1, width)."""
        is_padding = 1.0 - tf.cast(attention_mask, tf.float32)[:, None, None, :]
        return tf.cast(is_padding * -3e4, dtype)

    if dtype == "float16":
        main.get_extended_attention_mask = added_to_scores
