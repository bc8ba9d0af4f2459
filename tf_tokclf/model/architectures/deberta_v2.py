"""Compute DeBERTa v2 and v3 without gathering scores, and without padding where that is faster.

Replaces the computation of the encoder in transformers' class. The weights, their names and the results are those of
transformers. All layers share one trace.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import numpy as np

from tf_tokclf.model.architectures.bert import parts_around
from tf_tokclf.model.architectures.relative_attention import Distances, attend, rows_by_distance
from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.model.compact_layers import dense, layer_norm
from tf_tokclf.model.rows import Rows, is_packed, rows_of
from tf_tokclf.model.shared_trace import SharedTrace
from tf_tokclf.model.unpadded_encoder import LayerParts, Weights


def use_skewing(model: keras.Model) -> None:
    """Replace the computation of the encoder of `model` if it is transformers' DeBERTa v2."""
    encoder: Any = getattr(getattr(model, model.base_model_prefix, None), "encoder", None)
    if not type(encoder).__module__.startswith("transformers.models.deberta_v2.") or not encoder.layer:
        return
    encoder.call = MethodType(_call, encoder)


def _call(
    encoder: keras.layers.Layer,
    hidden_states: tf.Tensor,
    attention_mask: tf.Tensor,
    output_attentions: bool = False,
    output_hidden_states: bool = False,
    training: bool = False,
    **others: Any,
) -> Any:
    if not is_packed() and (output_attentions or output_hidden_states):
        return type(encoder).call(
            encoder,
            hidden_states,
            attention_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            training=training,
            **others,
        )
    last = _encode(encoder, hidden_states, attention_mask, training)
    return transformers.modeling_tf_outputs.TFBaseModelOutput(last_hidden_state=last)


@tf.autograph.experimental.do_not_convert
def _encode(
    encoder: keras.layers.Layer, hidden_states: tf.Tensor, attention_mask: tf.Tensor, training: bool
) -> tf.Tensor:
    """hidden_states: (rows, width, n). attention_mask: (rows, width), not 0 at tokens."""
    real = tf.not_equal(attention_mask, 0)
    rows = rows_of(real, hidden_states.dtype) if is_packed() else Rows(tf.shape(real))
    n = hidden_states.shape[-1]
    one = _Layer(encoder, rows, real, training)
    shared = SharedTrace(one.call, width=n)
    pieces = rows.pack(tf.reshape(hidden_states, [-1, n]))
    distances = one.distance_embedding()
    for number, layer in enumerate(encoder.layer):
        pieces = shared(pieces, number, _weights(layer), *distances)
        if number == 0 and encoder.conv is not None:
            pieces = _convolved(encoder.conv, rows, hidden_states, pieces, training)
    return tf.reshape(rows.unpack(pieces), tf.concat([rows.shape, [n]], axis=0))


def _convolved(
    layer: keras.layers.Layer, rows: Rows, embedded: tf.Tensor, pieces: tf.Tensor, training: bool
) -> tf.Tensor:
    """The norm of the sum of `pieces` (tokens, n) and a convolution of `embedded` (rows, width, n), 0 at padding."""
    # The kernel has an odd number of places. With an even number, the model of transformers cannot be used either.
    outputs = tf.nn.bias_add(tf.nn.conv1d(embedded, layer.conv_kernel, stride=1, padding="SAME"), layer.conv_bias)
    of_pieces = rows.pack(tf.reshape(outputs, [-1, outputs.shape[-1]]))
    activated = layer.conv_act(layer.dropout(of_pieces, training=training))
    norm = layer.LayerNorm
    return tf.cast(layer_norm(pieces + activated, norm.gamma, norm.beta, norm.epsilon), pieces.dtype)


def _parts(layer: Any) -> LayerParts:
    attention = layer.attention.self
    query, key, value = attention.query_proj, attention.key_proj, attention.value_proj
    return parts_around(layer, attention, query=query, key=key, value=value)


def _weights(layer: Any) -> Weights:
    attention = layer.attention.self
    of_distance = {
        "query of distance": getattr(attention, "pos_query_proj", None),
        "key of distance": getattr(attention, "pos_key_proj", None),
    }
    return _parts(layer).weights(**of_distance)


class _Layer:
    """The computation of an encoder layer on a batch, which all layers share."""

    def __init__(self, encoder: keras.layers.Layer, rows: Rows, real: tf.Tensor, training: bool) -> None:
        self._encoder = encoder
        self._like = encoder.layer[0]
        self._rows = rows
        self._training = training
        # The softmax is computed in float32. A row without tokens gets finite values too.
        mask = tf.where(real, 0.0, tf.float32.min)
        # TFLite has no indexing that adds axes.
        self._mask = tf.expand_dims(tf.expand_dims(mask, axis=1), axis=0)
        attention = self._like.attention.self
        terms = attention.pos_att_type if attention.relative_attention else []
        self._has_keys, self._has_queries = "c2p" in terms, "p2c" in terms
        # transformers scales by the number of terms even if the model has no relative attention.
        n_terms = 1 + sum(term in attention.pos_att_type for term in ("c2p", "p2c"))
        self._scale = 1 / float(np.sqrt(attention.attention_head_size * n_terms))
        if terms:
            self._distances = Distances.within(rows.shape[1], _rows_by_distance(encoder))

    def distance_embedding(self) -> list[tf.Tensor]:
        """The rows of the embedding of distances that occur in the batch, (distances, n), if the model uses it."""
        if not (self._has_keys or self._has_queries):
            return []
        table = tf.convert_to_tensor(self._encoder.rel_embeddings)
        used = tf.ensure_shape(table[self._distances.begin : self._distances.end], (None, table.shape[-1]))
        return [self._encoder.LayerNorm(used) if "layer_norm" in self._encoder.norm_rel_ebd else used]

    def call(self, pieces: tf.Tensor, weights: Weights, *distances: tf.Tensor) -> tf.Tensor:
        """pieces: (tokens, n). Returns the same shape. distances: the result of `distance_embedding`."""
        parts = _parts(self._like)
        attended = self._attend(pieces, weights, *distances)
        pieces = parts.attended(attended, pieces, weights, "attended", training=self._training)
        return parts.feed_forward(pieces, weights, training=self._training)

    def _attend(self, pieces: tf.Tensor, weights: Weights, *distances: tf.Tensor) -> tf.Tensor:
        """(tokens, n) to (tokens, heads * width of a head)."""
        layer, rows = self._like.attention.self, self._rows
        drops = self._training and layer.dropout.drop_prob > 0

        def drop(ones: tf.Tensor) -> tf.Tensor:
            return layer.dropout(ones, training=True)

        @tf.custom_gradient
        def attended(*inputs: tf.Tensor) -> Any:
            of_pieces = [self._by_head(rows.spread(part)) for part in inputs[:3]]
            of_distances = self._by_distance(inputs[3:])
            outputs, gradient = attend(*of_pieces, *of_distances, mask=self._mask, drop=drop if drops else None)

            def of_inputs(upstream: tf.Tensor) -> list[tf.Tensor]:
                for_pieces, for_distances = gradient(self._by_head(rows.spread_on_zeros(upstream)))
                return [*map(self._of_pieces, for_pieces), *self._of_rows(for_distances, inputs[3:])]

            return self._of_pieces(outputs), of_inputs

        query, key, value = (dense(pieces, *weights[name]) for name in ("query", "key", "value"))
        return attended(query * self._scale, key, value, *self._projected(weights, *distances))

    def _projected(self, weights: Weights, *distances: tf.Tensor) -> list[tf.Tensor]:
        """The keys and scaled queries of distances, as far as used, each (distances, heads * width of a head)."""
        layer = self._like.attention.self
        shared = "" if layer.share_att_key else " of distance"
        found = []
        for rows in distances:
            dropped = layer.pos_dropout(rows, training=self._training)
            if self._has_keys:
                found.append(dense(dropped, *weights[f"key{shared}"]))
            if self._has_queries:
                found.append(dense(dropped, *weights[f"query{shared}"]) * self._scale)
        return found

    @property
    def _places(self) -> list[tf.Tensor | None]:
        """The rows of the keys and of the queries of distances. None for what the model does not use."""
        return [
            self._distances.to_keys if self._has_keys else None,
            self._distances.to_queries if self._has_queries else None,
        ]

    def _by_distance(self, projected: tuple[tf.Tensor, ...]) -> list[tf.Tensor | None]:
        """The keys and queries by head and distance, (heads, 2 * width, width of a head)."""
        layer, rest = self._like.attention.self, list(projected)
        shape = [-1, layer.num_attention_heads, layer.attention_head_size]
        return [
            None if places is None else tf.transpose(tf.reshape(tf.gather(rest.pop(0), places), shape), [1, 0, 2])
            for places in self._places
        ]

    def _of_rows(self, by_distance: list[tf.Tensor | None], projected: tuple[tf.Tensor, ...]) -> list[tf.Tensor]:
        """The gradient of `_by_distance`."""
        summed = []
        for gradient, places in zip(by_distance, self._places):
            if gradient is not None:
                rows = tf.reshape(tf.transpose(gradient, [1, 0, 2]), [-1, projected[0].shape[-1]])
                summed.append(tf.math.unsorted_segment_sum(rows, places, tf.shape(projected[0])[0]))
        return summed

    def _by_head(self, padded: tf.Tensor) -> tf.Tensor:
        """(rows * width, heads * n) to (heads, rows, width, n)."""
        layer = self._like.attention.self
        heads = [layer.num_attention_heads, layer.attention_head_size]
        return tf.transpose(tf.reshape(padded, tf.concat([self._rows.shape, heads], axis=0)), [2, 0, 1, 3])

    def _of_pieces(self, by_head: tf.Tensor) -> tf.Tensor:
        """(heads, rows, width, n) to (tokens, heads * n)."""
        layer = self._like.attention.self
        width = layer.num_attention_heads * layer.attention_head_size
        return self._rows.take(tf.reshape(tf.transpose(by_head, [1, 2, 0, 3]), [-1, width]))


def _rows_by_distance(encoder: keras.layers.Layer) -> np.ndarray:
    return rows_by_distance(
        n_rows=encoder.pos_ebd_size,
        n_buckets=encoder.position_buckets,
        max_distance=encoder.max_relative_positions,
    )
