"""DistilBERT: computed without padding."""

from __future__ import annotations

from typing import Any

from tf_tokclf.model.backend import keras
from tf_tokclf.model.unpadded_encoder import EncoderKind, Joined, LayerParts, use_packing


def use_packing_of_distilbert(model: keras.Model) -> None:
    """Compute the encoder of `model` without padding."""
    kind = EncoderKind(
        encoder="transformer", layers=lambda encoder: [_parts(layer) for layer in encoder.layer], additive_mask=False
    )
    use_packing(model, kind)


def _parts(layer: Any) -> LayerParts:
    attention, network = layer.attention, layer.ffn
    return LayerParts(
        query=attention.q_lin,
        key=attention.k_lin,
        value=attention.v_lin,
        n_heads=attention.n_heads,
        attention_dropout=attention.dropout,
        attended=Joined(attention.out_lin, layer.sa_layer_norm, None),
        inner=network.lin1,
        activation=network.activation,
        outer=Joined(network.lin2, layer.output_layer_norm, network.dropout),
    )
