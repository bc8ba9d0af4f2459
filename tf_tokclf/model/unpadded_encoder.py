"""Compute encoders like BERT without padding, except inside attention.

A layer gets the concatenated tokens of all rows, (tokens, width). Only attention arranges them in rows, and
concatenates them again afterwards (as Zeng et al. 2022 do on GPUs, arXiv:2208.08124). All layers share one trace with
few
operations: the first step of MiniLM-L6 takes 2.7 s instead of 5.6 s. The weights, their names and the results are those
of transformers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MethodType
from typing import Any, TypeAlias

from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.model.compact_layers import layer_norm
from tf_tokclf.model.precision import cpu_flags

# Model types whose layers have the same parts with the same names.
_KINDS = {"bert", "camembert", "electra", "roberta", "xlm-roberta"}


_is_on: ContextVar[bool] = ContextVar("packing", default=False)
# The number of the layer that is computed, a uint64 scalar. Layers share a trace, so anything that must differ between
# them, such as the random numbers of dropout, has to depend on this number.
layer_number: ContextVar[tf.Tensor | None] = ContextVar("layer_number", default=None)


def use_packing(model: keras.Model) -> None:
    """Make `model` compute without padding inside `packed`, if its type is supported.

    This is not used on GPUs, which would have to wait for the number of tokens.
    """
    encoder: Any = getattr(getattr(model, model.base_model_prefix, None), "encoder", None)
    is_known = model.config.model_type in _KINDS and type(encoder).__module__.startswith("transformers.models.")
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
    if _is_on.get():
        return _encode(encoder.layer, hidden_states, attention_mask, training)
    return type(encoder).call(
        encoder, hidden_states=hidden_states, attention_mask=attention_mask, training=training, **others
    )


@contextmanager
def packed() -> Iterator[None]:
    """Inside the block, supported models compute without padding, and their outputs contain only logits."""
    token = _is_on.set(True)
    try:
        yield
    finally:
        _is_on.reset(token)


class _Rows:
    """Rows of tokens in which padding is kept: concatenation needs no change."""

    def __init__(self, shape: tf.Tensor) -> None:
        """shape: (2,), rows and width."""
        self.shape = shape

    def spread(self, pieces: tf.Tensor) -> tf.Tensor:
        """(tokens, n) to (rows * width, n). The values at padding are arbitrary."""
        return pieces

    def spread_on_zeros(self, pieces: tf.Tensor) -> tf.Tensor:
        """The same with zeros at padding, if padding was removed."""
        return pieces

    def take(self, padded: tf.Tensor) -> tf.Tensor:
        """(rows * width, n) to (tokens, n), without a custom gradient."""
        return padded

    def pack(self, padded: tf.Tensor) -> tf.Tensor:
        """(rows * width, n) to (tokens, n)."""

        @tf.custom_gradient
        def pack(padded: tf.Tensor) -> Any:
            return self.take(padded), self.spread_on_zeros

        return pack(padded)

    def unpack(self, pieces: tf.Tensor) -> tf.Tensor:
        """(tokens, n) to (rows * width, n), valid only at tokens."""

        @tf.custom_gradient
        def unpack(pieces: tf.Tensor) -> Any:
            return self.spread(pieces), self.take

        return unpack(pieces)


class _RowsWithoutPadding(_Rows):
    """Rows of tokens from which padding is removed."""

    def __init__(self, real: tf.Tensor) -> None:
        """real: (rows, width) bool, True at tokens."""
        super().__init__(tf.shape(real))
        flat = tf.reshape(real, [-1])
        self._place = tf.cast(tf.where(flat)[:, 0], tf.int32)
        self._real = flat[:, None]
        self._number = tf.maximum(tf.cumsum(tf.cast(flat, tf.int32)) - 1, 0)

    def spread(self, pieces: tf.Tensor) -> tf.Tensor:
        return tf.gather(pieces, self._number)

    def spread_on_zeros(self, pieces: tf.Tensor) -> tf.Tensor:
        return self.spread(pieces) * tf.cast(self._real, pieces.dtype)

    def take(self, padded: tf.Tensor) -> tf.Tensor:
        return tf.gather(padded, self._place)


def _encode(
    layers: Sequence[keras.layers.Layer], hidden_states: tf.Tensor, attention_mask: tf.Tensor, training: bool
) -> Any:
    """hidden_states: (rows, width, n). attention_mask: (rows, 1, 1, width), 0 at tokens, very negative at padding."""
    real = attention_mask[:, 0, 0, :] == 0
    rows = _RowsWithoutPadding(real) if leaves_padding_out(hidden_states.dtype) else _Rows(tf.shape(real))
    n = hidden_states.shape[-1]
    # The layers differ only in their weights, so one trace is used for all of them.
    one = _Layer(layers[0], rows, attention_mask, training)
    traced = tf.function(one.call, autograph=False)
    pieces = rows.pack(tf.reshape(hidden_states, [-1, n]))
    for number, layer in enumerate(layers):
        pieces = traced(tf.ensure_shape(pieces, (None, n)), _weights(layer), tf.constant(number, tf.uint64))
    last = tf.reshape(rows.unpack(pieces), tf.concat([rows.shape, [n]], axis=0))
    return transformers.modeling_tf_outputs.TFBaseModelOutputWithPastAndCrossAttentions(last_hidden_state=last)


def leaves_padding_out(dtype: tf.DType) -> bool:
    """Whether padding is removed, which makes the number of tokens different in each batch.

    This is fast in float32 (measured with AVX2 and AVX-512). In bfloat16 the math library generates and keeps code for
    each number of tokens: the peak memory of an epoch of WNUT-17 with MiniLM-L6 is then 2.7 GB instead of 1.7 GB
    (AVX-512, two cores), and it is no faster.
    """
    return dtype == tf.float32 and "avx2" in cpu_flags()


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


class _Layer:
    """The computation of an encoder layer on a batch, which all layers share."""

    def __init__(self, like: keras.layers.Layer, rows: _Rows, attention_mask: tf.Tensor, training: bool) -> None:
        self._like = like
        self._rows = rows
        self._attention_mask = attention_mask
        self._training = training

    def call(self, pieces: tf.Tensor, weights: Weights, number: tf.Tensor) -> tf.Tensor:
        """pieces: (tokens, n). Returns the same shape. number: the number of the layer."""
        like = self._like
        token = layer_number.set(number)
        try:
            attended = self._attend(pieces, weights)
            pieces = self._join("attended", like.attention.dense_output, attended, pieces, weights)
            inner = like.intermediate.intermediate_act_fn(_dense(pieces, *weights["inner"]))
            return self._join("outer", like.bert_output, inner, pieces, weights)
        finally:
            layer_number.reset(token)

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
                of_scores = shares * (of_shares - tf.reduce_sum(of_shares * shares, axis=-1, keepdims=True))
                of_query = tf.matmul(of_scores, key)
                of_key = tf.matmul(of_scores, query, transpose_a=True)
                of_value = tf.matmul(used, upstream, transpose_a=True)
                return of_pieces(of_query), of_pieces(of_key), of_pieces(of_value)

            return of_pieces(tf.matmul(used, value)), gradient

        query, key, value = (_dense(pieces, *weights[name]) for name in ("query", "key", "value"))
        return attend(query * (1 / layer.sqrt_att_head_size), key, value)

    def _join(
        self, name: str, part: keras.layers.Layer, inputs: tf.Tensor, beside: tf.Tensor, weights: Weights
    ) -> tf.Tensor:
        """A dense layer of `inputs`, added to the residual `beside`, followed by a layer norm."""
        outputs = part.dropout(_dense(inputs, *weights[name]), training=self._training)
        normed = layer_norm(tf.add_n([outputs, beside]), *weights[f"{name}_norm"], part.LayerNorm.epsilon)
        return tf.cast(normed, beside.dtype)


def _dense(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return tf.nn.bias_add(tf.matmul(inputs, kernel), bias)
