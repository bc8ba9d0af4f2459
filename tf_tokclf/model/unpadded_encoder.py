"""Compute encoders like BERT without padding, except inside attention.

A layer gets the concatenated tokens of all rows, (tokens, width). Only attention arranges them in rows, and
concatenates them again afterwards (as Zeng et al. 2022 do on GPUs, arXiv:2208.08124). All layers share one trace with
few operations. The weights, their names and the results are those of transformers.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.model.compact_layers import dense, layer_norm
from tf_tokclf.model.parallel import has_gpu
from tf_tokclf.model.rows import Rows, is_packed, rows_of
from tf_tokclf.model.shared_trace import SharedTrace
from tf_tokclf.model.softmax import softmax_gradient
from tf_tokclf.model.weight_copies import kernel_of

Weights: TypeAlias = Mapping[str, tuple[tf.Tensor, tf.Tensor]]

# Added to the scores of padding, as in BERT. float16 has no number below -65504.
HIDDEN = -1e4


@dataclass(frozen=True)
class Joined:
    """A dense layer whose outputs are added to the residual after dropout, and the norm of the sum."""

    dense: keras.layers.Dense
    norm: keras.layers.LayerNormalization
    dropout: Callable[..., tf.Tensor] | None

    def __call__(
        self, inputs: tf.Tensor, beside: tf.Tensor, weights: Weights, name: str, *, training: bool
    ) -> tf.Tensor:
        """inputs: (tokens, n). beside: the residual, (tokens, width). name: that of the layer's weights in `weights`.

        Returns (tokens, width). `weights` may be those of another layer.
        """
        outputs = dense(inputs, *weights[name])
        if self.dropout is not None:
            outputs = self.dropout(outputs, training=training)
        normed = layer_norm(tf.add_n([outputs, beside]), *weights[f"{name}_norm"], self.norm.epsilon)
        return tf.cast(normed, beside.dtype)


@dataclass(frozen=True)
class LayerParts:
    """The parts of an encoder layer by their purpose, because each class of transformers has its own names.

    attended: what follows attention. inner, activation, outer: the feed-forward network.
    """

    query: keras.layers.Dense
    key: keras.layers.Dense
    value: keras.layers.Dense
    n_heads: int
    attention_dropout: Callable[..., tf.Tensor]
    attended: Joined
    inner: keras.layers.Dense
    activation: Callable[[tf.Tensor], tf.Tensor]
    outer: Joined

    def weights(self, **others: keras.layers.Dense | None) -> Weights:
        """Kernel and bias of dense layers, scale and offset of norms. others: more dense layers, by name."""
        parts = {"query": self.query, "key": self.key, "value": self.value, "inner": self.inner, **others}
        parts |= {"attended": self.attended.dense, "outer": self.outer.dense}
        found = {name: (kernel_of(part), tf.convert_to_tensor(part.bias)) for name, part in parts.items() if part}
        for name, norm in (("attended_norm", self.attended.norm), ("outer_norm", self.outer.norm)):
            found[name] = (tf.convert_to_tensor(norm.gamma), tf.convert_to_tensor(norm.beta))
        return found

    def feed_forward(self, pieces: tf.Tensor, weights: Weights, *, training: bool) -> tf.Tensor:
        """pieces: (tokens, n), the output of attention. Returns the output of the layer, of the same shape."""
        inner = self.activation(dense(pieces, *weights["inner"]))
        return self.outer(inner, pieces, weights, "outer", training=training)


@dataclass(frozen=True)
class EncoderKind:
    """How the class of an encoder differs from others.

    encoder: the attribute of the base model that has the layers. Its `call` gets the embedded tokens first and the mask
    second. layers: the parts of all layers, in the order in which they are computed. additive_mask: whether the mask is
    (rows, 1, 1, width), 0 at tokens and very negative at padding; otherwise it is (rows, width), 1 at tokens. begin:
    what happens to the embedded tokens before the first layer. position_scores: what is added to the scores of
    attention, (1, heads, width, width), from the embedded tokens.
    """

    layers: Callable[[Any], Sequence[LayerParts]]
    encoder: str = "encoder"
    additive_mask: bool = True
    begin: Callable[[Any, tf.Tensor], tf.Tensor] | None = None
    position_scores: Callable[[Any, tf.Tensor], tf.Tensor] | None = None


def use_packing(model: keras.Model, kind: EncoderKind) -> None:
    """Make `model` compute without padding inside `packed`.

    This is not used on GPUs, which would have to wait for the number of tokens.
    """
    encoder: Any = getattr(getattr(model, model.base_model_prefix, None), kind.encoder, None)
    is_known = type(encoder).__module__.startswith("transformers.models.")
    is_decoder = getattr(model.config, "is_decoder", False)
    if not is_known or not kind.layers(encoder) or is_decoder or has_gpu():
        return
    of_transformers = encoder.call
    parameters = inspect.signature(of_transformers)

    def call(*args: Any, **options: Any) -> Any:
        if not is_packed():
            return of_transformers(*args, **options)
        given = parameters.bind(*args, **options).arguments
        hidden_states, mask = list(given.values())[:2]
        return _encode(encoder, kind, hidden_states, mask, given.get("training", False))

    encoder.call = call


def _encode(
    encoder: Any, kind: EncoderKind, hidden_states: tf.Tensor, attention_mask: tf.Tensor, training: bool
) -> Any:
    """hidden_states: (rows, width, n). attention_mask: as `kind` describes it."""
    if kind.additive_mask:
        real = attention_mask[:, 0, 0, :] == 0
    else:
        real = tf.not_equal(attention_mask, 0)
        attention_mask = tf.cast(tf.where(real, 0.0, HIDDEN), hidden_states.dtype)[:, None, None, :]
    position_scores = [kind.position_scores(encoder, hidden_states)] if kind.position_scores else []
    if kind.begin:
        hidden_states = kind.begin(encoder, hidden_states)
    rows = rows_of(real, hidden_states.dtype)
    n = hidden_states.shape[-1]
    layers = kind.layers(encoder)
    shared = SharedTrace(_Layer(layers[0], rows, attention_mask, training).call, width=n)
    pieces = rows.pack(tf.reshape(hidden_states, [-1, n]))
    for number, layer in enumerate(layers):
        pieces = shared(pieces, number, layer.weights(), *position_scores)
    last = tf.reshape(rows.unpack(pieces), tf.concat([rows.shape, [n]], axis=0))
    return transformers.modeling_tf_outputs.TFBaseModelOutputWithPastAndCrossAttentions(last_hidden_state=last)


class _Layer:
    """The computation of an encoder layer on a batch, which all layers share."""

    def __init__(self, like: LayerParts, rows: Rows, attention_mask: tf.Tensor, training: bool) -> None:
        self._like = like
        self._rows = rows
        self._attention_mask = attention_mask
        self._training = training

    def call(self, pieces: tf.Tensor, weights: Weights, *position_scores: tf.Tensor) -> tf.Tensor:
        """pieces: (tokens, n). position_scores: none, or (1, heads, width, width). Returns the shape of `pieces`."""
        attended = self._attend(pieces, weights, *position_scores)
        pieces = self._like.attended(attended, pieces, weights, "attended", training=self._training)
        return self._like.feed_forward(pieces, weights, training=self._training)

    def _attend(self, pieces: tf.Tensor, weights: Weights, *position_scores: tf.Tensor) -> tf.Tensor:
        """(tokens, n) to (tokens, heads * width of a head)."""
        like, rows = self._like, self._rows
        n_heads, width = like.n_heads, like.query.units // like.n_heads
        in_rows = tf.concat([rows.shape, [n_heads, width]], axis=0)

        def by_head(padded: tf.Tensor) -> tf.Tensor:
            return tf.transpose(tf.reshape(padded, in_rows), [0, 2, 1, 3])

        def of_pieces(by_head: tf.Tensor) -> tf.Tensor:
            return rows.take(tf.reshape(tf.transpose(by_head, [0, 2, 1, 3]), [-1, n_heads * width]))

        # A custom gradient, because TensorFlow's gradients for unknown shapes add reductions over no axes, which copy.
        @tf.custom_gradient
        def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *added: tf.Tensor) -> Any:
            query, key, value = (by_head(rows.spread(part)) for part in (query, key, value))
            scores = sum(added, tf.matmul(query, key, transpose_b=True))
            shares = tf.nn.softmax(scores + self._attention_mask)
            kept = like.attention_dropout(tf.ones_like(shares), training=True) if self._training else None
            used = shares if kept is None else shares * kept

            def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
                upstream = by_head(rows.spread_on_zeros(upstream))
                of_used = tf.matmul(upstream, value, transpose_b=True)
                of_shares = of_used if kept is None else of_used * kept
                of_scores = softmax_gradient(shares, of_shares)
                of_query = tf.matmul(of_scores, key)
                of_key = tf.matmul(of_scores, query, transpose_a=True)
                of_value = tf.matmul(used, upstream, transpose_a=True)
                of_added = [tf.reduce_sum(of_scores, axis=0, keepdims=True)] * len(added)
                return of_pieces(of_query), of_pieces(of_key), of_pieces(of_value), *of_added

            return of_pieces(tf.matmul(used, value)), gradient

        query, key, value = (dense(pieces, *weights[name]) for name in ("query", "key", "value"))
        return attend(query * (1 / math.sqrt(width)), key, value, *position_scores)
