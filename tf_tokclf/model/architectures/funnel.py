"""Funnel: corrects the shapes of the position embeddings, so that gradients can be computed."""

from __future__ import annotations

from typing import Any

from tf_tokclf.model.backend import keras


def correct_funnel(model: keras.Model) -> None:
    """Make training possible.

    At run time, the TensorFlow class chooses between two position embeddings of a block, depending on the lengths of
    the rows. In blocks that cannot pool, one of the two is a placeholder of a different rank, for which no gradient can
    be computed.
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
