"""ALBERT, whose layers share weights: computed without padding."""

from __future__ import annotations

from typing import Any

from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.unpadded_encoder import EncoderKind, Joined, LayerParts, use_packing


def use_packing_of_albert(model: keras.Model) -> None:
    """Compute the encoder of `model` without padding."""
    use_packing(model, EncoderKind(layers=_layers, begin=_begin))


def _begin(encoder: Any, embedded: tf.Tensor) -> tf.Tensor:
    """The embedded tokens, projected to the width of the layers."""
    return encoder.embedding_hidden_mapping_in(embedded)


def _layers(encoder: Any) -> list[LayerParts]:
    """The layers in the order in which they are computed. A group of layers is computed several times in a row."""
    n_times, groups = encoder.num_hidden_layers, encoder.albert_layer_groups
    group_of = (groups[int(n / (n_times / len(groups)))] for n in range(n_times))
    return [_parts(layer) for group in group_of for layer in group.albert_layers]


def _parts(layer: Any) -> LayerParts:
    attention = layer.attention
    return LayerParts(
        query=attention.query,
        key=attention.key,
        value=attention.value,
        n_heads=attention.num_attention_heads,
        attention_dropout=attention.attention_dropout,
        attended=Joined(attention.dense, attention.LayerNorm, attention.output_dropout),
        inner=layer.ffn,
        activation=layer.activation,
        outer=Joined(layer.ffn_output, layer.full_layer_layer_norm, layer.dropout),
    )
