"""Compute encoders like BERT without padding, except inside attention.

A layer gets the concatenated tokens of all rows, (tokens, width). Only attention arranges them in rows, and
concatenates them again afterwards (as Zeng et al. 2022 do on GPUs, arXiv:2208.08124). All layers share one trace with
few operations. The weights, their names and the results are those of transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MethodType
from typing import Any, TypeAlias

from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.model.compact_layers import dense, layer_norm
from tf_tokclf.model.rows import Rows, is_packed, rows_of
from tf_tokclf.model.shared_trace import SharedTrace
from tf_tokclf.model.softmax import softmax_gradient


def use_packing(model: keras.Model) -> None:
    """Make `model`, whose layers have the parts of BERT's, compute without padding inside `packed`.

    This is not used on GPUs, which would have to wait for the number of tokens.
    """
    encoder: Any = getattr(getattr(model, model.base_model_prefix, None), "encoder", None)
    is_known = type(encoder).__module__.startswith("transformers.models.")
    if not is_known or not encoder.layer or model.config.is_decoder or tf.config.list_physical_devices("GPU"):
        return
    encoder.call = MethodType(_call, encoder)


def _call(
    encoder: keras.layers.Layer,
    hidden_states: tf.Tensor,
    attention_mask: tf.Tensor,
    training: bool = False,
    **others: Any,
) -> Any:
    if is_packed():
        return _encode(encoder.layer, hidden_states, attention_mask, training)
    return type(encoder).call(
        encoder, hidden_states=hidden_states, attention_mask=attention_mask, training=training, **others
    )


def _encode(
    layers: Sequence[keras.layers.Layer], hidden_states: tf.Tensor, attention_mask: tf.Tensor, training: bool
) -> Any:
    """hidden_states: (rows, width, n). attention_mask: (rows, 1, 1, width), 0 at tokens, very negative at padding."""
    real = attention_mask[:, 0, 0, :] == 0
    rows = rows_of(real, hidden_states.dtype)
    n = hidden_states.shape[-1]
    shared = SharedTrace(_Layer(layers[0], rows, attention_mask, training).call, width=n)
    pieces = rows.pack(tf.reshape(hidden_states, [-1, n]))
    for number, layer in enumerate(layers):
        pieces = shared(pieces, number, _weights(layer))
    last = tf.reshape(rows.unpack(pieces), tf.concat([rows.shape, [n]], axis=0))
    return transformers.modeling_tf_outputs.TFBaseModelOutputWithPastAndCrossAttentions(last_hidden_state=last)


Weights: TypeAlias = Mapping[str, tuple[tf.Tensor, tf.Tensor]]


def _weights(layer: keras.layers.Layer) -> Weights:
    """The weights of a layer: kernel and bias of dense layers, scale and offset of norms."""
    attention, joined, outer = layer.attention.self_attention, layer.attention.dense_output, layer.bert_output
    variables = {
        "query": (attention.query.kernel, attention.query.bias),
        "key": (attention.key.kernel, attention.key.bias),
        "value": (attention.value.kernel, attention.value.bias),
        "attended": (joined.dense.kernel, joined.dense.bias),
        "attended_norm": (joined.LayerNorm.gamma, joined.LayerNorm.beta),
        "inner": (layer.intermediate.dense.kernel, layer.intermediate.dense.bias),
        "outer": (outer.dense.kernel, outer.dense.bias),
        "outer_norm": (outer.LayerNorm.gamma, outer.LayerNorm.beta),
    }
    return {name: (tf.convert_to_tensor(a), tf.convert_to_tensor(b)) for name, (a, b) in variables.items()}


def join(
    name: str, part: keras.layers.Layer, inputs: tf.Tensor, beside: tf.Tensor, weights: Weights, *, training: bool
) -> tf.Tensor:
    """A dense layer of `inputs`, added to the residual `beside`, and a layer norm. name: that of its weights."""
    outputs = part.dropout(dense(inputs, *weights[name]), training=training)
    normed = layer_norm(tf.add_n([outputs, beside]), *weights[f"{name}_norm"], part.LayerNorm.epsilon)
    return tf.cast(normed, beside.dtype)


class _Layer:
    """The computation of an encoder layer on a batch, which all layers share."""

    def __init__(self, like: keras.layers.Layer, rows: Rows, attention_mask: tf.Tensor, training: bool) -> None:
        self._like = like
        self._rows = rows
        self._attention_mask = attention_mask
        self._training = training

    def call(self, pieces: tf.Tensor, weights: Weights) -> tf.Tensor:
        """pieces: (tokens, n). Returns the same shape."""
        like = self._like
        attended = self._attend(pieces, weights)
        pieces = join("attended", like.attention.dense_output, attended, pieces, weights, training=self._training)
        inner = like.intermediate.intermediate_act_fn(dense(pieces, *weights["inner"]))
        return join("outer", like.bert_output, inner, pieces, weights, training=self._training)

    def _attend(self, pieces: tf.Tensor, weights: Weights) -> tf.Tensor:
        """(tokens, n) to (tokens, heads * width of a head)."""
        layer, rows = self._like.attention.self_attention, self._rows
        n_heads, width = layer.num_attention_heads, layer.attention_head_size
        in_rows = tf.concat([rows.shape, [n_heads, width]], axis=0)

        def by_head(padded: tf.Tensor) -> tf.Tensor:
            return tf.transpose(tf.reshape(padded, in_rows), [0, 2, 1, 3])

        def of_pieces(by_head: tf.Tensor) -> tf.Tensor:
            return rows.take(tf.reshape(tf.transpose(by_head, [0, 2, 1, 3]), [-1, n_heads * width]))

        # A custom gradient, because TensorFlow's gradients for unknown shapes add reductions over no axes, which copy.
        @tf.custom_gradient
        def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> Any:
            query, key, value = (by_head(rows.spread(part)) for part in (query, key, value))
            shares = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + self._attention_mask)
            kept = layer.dropout(tf.ones_like(shares), training=True) if self._training else None
            used = shares if kept is None else shares * kept

            def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
                upstream = by_head(rows.spread_on_zeros(upstream))
                of_used = tf.matmul(upstream, value, transpose_b=True)
                of_shares = of_used if kept is None else of_used * kept
                of_scores = softmax_gradient(shares, of_shares)
                of_query = tf.matmul(of_scores, key)
                of_key = tf.matmul(of_scores, query, transpose_a=True)
                of_value = tf.matmul(used, upstream, transpose_a=True)
                return of_pieces(of_query), of_pieces(of_key), of_pieces(of_value)

            return of_pieces(tf.matmul(used, value)), gradient

        query, key, value = (dense(pieces, *weights[name]) for name in ("query", "key", "value"))
        return attend(query * (1 / layer.sqrt_att_head_size), key, value)
