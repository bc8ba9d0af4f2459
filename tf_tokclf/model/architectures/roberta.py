"""RoBERTa and models with its embeddings: positions are counted from the padding position of the configuration."""

from __future__ import annotations

from tf_tokclf.model.backend import keras


def start_after_padding(model: keras.Model) -> None:
    """Count positions from `pad_token_id` + 1, as the PyTorch classes do. The TensorFlow classes always start at 2."""
    if model.config.pad_token_id is not None:
        getattr(model, model.base_model_prefix).embeddings.padding_idx = model.config.pad_token_id
