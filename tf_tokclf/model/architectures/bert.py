"""BERT, and types whose encoders have the same parts: CamemBERT, ELECTRA, LayoutLM, RoBERTa, XLM-RoBERTa."""

from __future__ import annotations

from typing import Any

from tf_tokclf.model.backend import keras
from tf_tokclf.model.unpadded_encoder import EncoderKind, Joined, LayerParts, use_packing


def use_packing_of_bert(model: keras.Model) -> None:
    """Compute the encoder of `model` without padding."""
    use_packing(model, EncoderKind(layers=lambda encoder: [_parts(layer) for layer in encoder.layer]))


def _parts(layer: Any) -> LayerParts:
    attention = layer.attention.self_attention
    return parts_around(layer, attention, query=attention.query, key=attention.key, value=attention.value)


def parts_around(layer: Any, attention: Any, **projections: keras.layers.Dense) -> LayerParts:
    """The parts of a layer that has those of BERT's. attention: its attention, with these query, key and value."""
    joined, outer = layer.attention.dense_output, layer.bert_output
    return LayerParts(
        **projections,
        n_heads=attention.num_attention_heads,
        attention_dropout=attention.dropout,
        attended=Joined(joined.dense, joined.LayerNorm, joined.dropout),
        inner=layer.intermediate.dense,
        activation=layer.intermediate.intermediate_act_fn,
        outer=Joined(outer.dense, outer.LayerNorm, outer.dropout),
    )
