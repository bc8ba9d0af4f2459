"""Funnel: position embeddings whose shapes allow gradients."""

from __future__ import annotations

from typing import Any

from tf_tokclf.model.backend import keras


def correct_funnel(model: keras.Model) -> None:
    """Make training possible.

    The TensorFlow class chooses in the graph, by the lengths of rows, between two position embeddings of a block. In
    blocks that cannot pool, one of them is a placeholder with another rank, which has no gradient.
    """
    for part in (model.funnel.encoder, model.funnel.decoder):
        structure = part.attention_structure
        structure.get_position_embeds = _without_placeholders(structure.get_position_embeds)


def _without_placeholders(get_position_embeds: Any) -> Any:
    def position_embeds(seq_len: Any, training: bool = False) -> Any:
        found = get_position_embeds(seq_len, training=training)
        if isinstance(found, tuple):  # factorised attention
            return found
        (first, _), *others = found
        return [[first, first], *others]

    return position_embeds
