"""ModernBERT (Warner et al. 2024, arXiv:2412.13663) in TensorFlow, which transformers only has for PyTorch.

The weights and their names are those of transformers' PyTorch classes. Sums of the layers are float32 in every
precision: they grow with depth, because the norms are inside the layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tf_tokclf.model.architectures.cut_normal import CutNormal
from tf_tokclf.model.architectures.modernbert_attention import Attention
from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.model.compact_layers import dense, layer_norm
from tf_tokclf.model.rows import Rows, is_packed, rows_of
from tf_tokclf.model.shared_trace import SharedTrace
from tf_tokclf.model.weight_copies import kernel_of

Config: TypeAlias = transformers.ModernBertConfig
# The deviations at which distributions are cut if the configuration does not say.
_DEFAULT_CUTOFF = 3.0


def _cut_normal(config: Config, deviation: float) -> CutNormal:
    return CutNormal(deviation, config.initializer_cutoff_factor or _DEFAULT_CUTOFF)


def _inner(config: Config) -> CutNormal:
    return _cut_normal(config, config.initializer_range)


def _outer(config: Config) -> CutNormal:
    """For matrices whose products are added to the sum of the layers, or end the encoder."""
    return _cut_normal(config, config.initializer_range / math.sqrt(2.0 * config.num_hidden_layers))


def _norm(name: str, config: Config) -> keras.layers.LayerNormalization:
    # Not cast automatically, so that the float32 sums arrive as they are.
    return keras.layers.LayerNormalization(epsilon=config.norm_eps, center=config.norm_bias, name=name, autocast=False)


class _Part(keras.layers.Layer):
    """A part of the model that gets its inputs without conversion, and builds its own parts."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape: Any = None) -> None:
        """Create the weights of all parts."""
        if not self.built:
            self.built: bool = True
            _build(self.parts())

    def parts(self) -> Parts:
        """The parts with weights."""
        raise NotImplementedError


# The parts of a layer or model, and the width of the input of each. None: the part knows its own widths.
Parts: TypeAlias = Sequence[tuple[keras.layers.Layer, int | None]]


def _build(parts: Parts) -> None:
    """Create the weights of `parts`, each in the scope of its name."""
    for part, width in parts:
        with tf.name_scope(part.name):
            part.build(None if width is None else (None, None, width))


class TFModernBertEmbeddings(_Part):
    """Embeddings of subword tokens. There are none for positions and types."""

    def __init__(self, config: Config, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._width = config.hidden_size
        self.tok_embeddings = keras.layers.Embedding(
            config.vocab_size, config.hidden_size, embeddings_initializer=_inner(config), name="tok_embeddings"
        )
        self.norm = _norm("norm", config)
        self.drop = keras.layers.Dropout(config.embedding_dropout, autocast=False)

    def parts(self) -> Parts:
        return (self.tok_embeddings, self._width), (self.norm, self._width)

    @property
    def weight(self) -> tf.Variable:
        """(vocabulary, width) float32."""
        return self.tok_embeddings.embeddings

    def call(self, input_ids: tf.Tensor, training: bool = False) -> tf.Tensor:
        """input_ids: (tokens,). Returns (tokens, width) float32."""
        normed = layer_norm(tf.gather(self.weight, input_ids), *_norm_weights(self.norm), self.norm.epsilon)
        return self.drop(normed, training=training)


class TFModernBertAttention(_Part):
    """The weights of a layer's attention."""

    def __init__(self, config: Config, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._width = config.hidden_size
        self.dropout = keras.layers.Dropout(config.attention_dropout)
        self.out_drop = keras.layers.Dropout(config.attention_dropout, autocast=False)
        self.Wqkv = keras.layers.Dense(
            3 * config.hidden_size, use_bias=config.attention_bias, kernel_initializer=_inner(config), name="Wqkv"
        )
        self.Wo = keras.layers.Dense(
            config.hidden_size, use_bias=config.attention_bias, kernel_initializer=_outer(config), name="Wo"
        )

    def parts(self) -> Parts:
        return (self.Wqkv, self._width), (self.Wo, self._width)


class TFModernBertMLP(_Part):
    """The weights of a layer's gated linear unit (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, config: Config, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._width, self._inner_width = config.hidden_size, config.intermediate_size
        self.act = transformers.activations_tf.get_tf_activation(config.hidden_activation)
        self.drop = keras.layers.Dropout(config.mlp_dropout)
        self.Wi = keras.layers.Dense(
            2 * config.intermediate_size, use_bias=config.mlp_bias, kernel_initializer=_inner(config), name="Wi"
        )
        self.Wo = keras.layers.Dense(
            config.hidden_size, use_bias=config.mlp_bias, kernel_initializer=_outer(config), name="Wo"
        )

    def parts(self) -> Parts:
        return (self.Wi, self._width), (self.Wo, self._inner_width)


class TFModernBertEncoderLayer(_Part):
    """The weights of a layer. The first layer has no norm before its attention: that of the embeddings is enough."""

    def __init__(self, config: Config, number: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._width = config.hidden_size
        self.is_local = number % config.global_attn_every_n_layers != 0
        self.attn_norm = _norm("attn_norm", config) if number else None
        self.attn = TFModernBertAttention(config, name="attn")
        self.mlp_norm = _norm("mlp_norm", config)
        self.mlp = TFModernBertMLP(config, name="mlp")

    def parts(self) -> Parts:
        norms = [norm for norm in (self.attn_norm, self.mlp_norm) if norm is not None]
        return (*((norm, self._width) for norm in norms), (self.attn, None), (self.mlp, None))

    def computed_alike(self) -> tuple[bool, bool]:
        """Layers with the same value compute the same, apart from their weights."""
        return self.is_local, self.attn_norm is None

    def values(self) -> Weights:
        """The weights by part: matrices and their biases in the dtype of the computation, norms in float32."""
        matrices = {"Wqkv": self.attn.Wqkv, "attended": self.attn.Wo, "Wi": self.mlp.Wi, "Wo": self.mlp.Wo}
        norms = {"attn_norm": self.attn_norm, "mlp_norm": self.mlp_norm}
        found = {name: _dense_weights(layer) for name, layer in matrices.items()}
        return found | {name: _norm_weights(norm) for name, norm in norms.items() if norm is not None}


Weights: TypeAlias = Mapping[str, tuple[tf.Tensor, tf.Tensor | None]]


def _dense_weights(layer: keras.layers.Dense) -> tuple[tf.Tensor, tf.Tensor | None]:
    bias = tf.cast(layer.bias, layer.compute_dtype) if layer.use_bias else None
    return kernel_of(layer), bias


def _norm_weights(norm: keras.layers.LayerNormalization) -> tuple[tf.Tensor, tf.Tensor | None]:
    return tf.convert_to_tensor(norm.gamma), None if norm.beta is None else tf.convert_to_tensor(norm.beta)


class _Computation:
    """The computation of a layer on a batch, which layers of the same kind share."""

    def __init__(self, like: TFModernBertEncoderLayer, attention: Attention, training: bool) -> None:
        self._like = like
        self._attention = attention
        self._training = training

    def __call__(self, pieces: tf.Tensor, weights: Weights) -> tf.Tensor:
        """pieces: (tokens, width) float32. Returns the same shape."""
        pieces = self._plus(pieces, self._attended(pieces, weights), self._like.attn.out_drop)
        return self._plus(pieces, self._transformed(pieces, weights), None)

    def _attended(self, pieces: tf.Tensor, weights: Weights) -> tf.Tensor:
        like = self._like
        if like.attn_norm is not None:
            pieces = layer_norm(pieces, *weights["attn_norm"], like.attn_norm.epsilon)
        joint = dense(tf.cast(pieces, like.compute_dtype), *weights["Wqkv"])
        drops = self._training and like.attn.dropout.rate > 0
        return dense(self._attention.attend(joint, like.attn.dropout if drops else None), *weights["attended"])

    def _transformed(self, pieces: tf.Tensor, weights: Weights) -> tf.Tensor:
        like = self._like
        normed = layer_norm(pieces, *weights["mlp_norm"], like.mlp_norm.epsilon)
        inner, gate = tf.split(dense(tf.cast(normed, like.compute_dtype), *weights["Wi"]), 2, axis=-1)
        gated = _product(like.mlp.act(inner), gate)
        return dense(like.mlp.drop(gated, training=self._training), *weights["Wo"])

    def _plus(self, pieces: tf.Tensor, more: tf.Tensor, drop: keras.layers.Dropout | None) -> tf.Tensor:
        if drop is not None:
            more = drop(more, training=self._training)
        return tf.add_n([pieces, tf.cast(more, pieces.dtype)])


@tf.custom_gradient
def _product(a: tf.Tensor, b: tf.Tensor) -> Any:
    """a * b for two tensors of the same shape, without the reductions of a broadcast in its gradient."""
    return a * b, lambda upstream: (upstream * b, upstream * a)


class TFModernBertMainLayer(_Part):
    """The encoder."""

    def __init__(self, config: Config, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.embeddings = TFModernBertEmbeddings(config, name="embeddings")
        self.encoder_layers = [
            TFModernBertEncoderLayer(config, number, name=f"layers_._{number}")
            for number in range(config.num_hidden_layers)
        ]
        self.final_norm = _norm("final_norm", config)

    def parts(self) -> Parts:
        inner = ((part, None) for part in (self.embeddings, *self.encoder_layers))
        return (*inner, (self.final_norm, self.config.hidden_size))

    def get_input_embeddings(self) -> keras.layers.Layer:
        """The layer of the embeddings."""
        return self.embeddings

    def call(self, input_ids: tf.Tensor, attention_mask: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """input_ids, attention_mask: (rows, width). Returns (rows, width, n) in the dtype of the computation."""
        real = tf.ones_like(input_ids, tf.bool) if attention_mask is None else attention_mask != 0
        rows = rows_of(real, tf.as_dtype(self.compute_dtype)) if is_packed() else Rows(tf.shape(real))
        pieces = self.embeddings(rows.take(tf.reshape(input_ids, [-1, 1]))[:, 0], training=training)
        pieces = self._through_layers(pieces, rows, real, training, shares_traces=is_packed())
        normed = layer_norm(pieces, *_norm_weights(self.final_norm), self.final_norm.epsilon)
        n = self.config.hidden_size
        whole = rows.unpack(tf.cast(normed, self.compute_dtype))
        return tf.reshape(whole, tf.concat([rows.shape, [n]], axis=0))

    def _through_layers(
        self, pieces: tf.Tensor, rows: Rows, real: tf.Tensor, training: bool, *, shares_traces: bool
    ) -> tf.Tensor:
        """pieces: (tokens, n) float32. Returns the same shape."""
        shared: dict[tuple[bool, bool], SharedTrace] = {}
        attention = self._attentions(rows, real)
        width = self.config.hidden_size
        for number, layer in enumerate(self.encoder_layers):
            kind = layer.computed_alike()
            if kind not in shared:
                computation = _Computation(layer, attention[layer.is_local], training)
                shared[kind] = SharedTrace(computation, width=width, is_traced=shares_traces)
            pieces = shared[kind](pieces, number, layer.values())
        return pieces

    def _attentions(self, rows: Rows, real: tf.Tensor) -> dict[bool, Attention]:
        """Global attention (False) and local attention (True), if a layer has it."""
        config = self.config
        n_heads = config.num_attention_heads
        return {
            is_local: Attention(
                rows,
                real,
                theta=config.local_rope_theta if is_local else config.global_rope_theta,
                reach=config.local_attention // 2 if is_local else None,
                n_heads=n_heads,
                head_width=config.hidden_size // n_heads,
                saves_memory=is_packed(),
            )
            for is_local in {layer.is_local for layer in self.encoder_layers}
        }


class TFModernBertPredictionHead(_Part):
    """A dense layer with activation and norm, before the classifier. It is trained with the masked language model."""

    def __init__(self, config: Config, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._width = config.hidden_size
        self.dense = keras.layers.Dense(
            config.hidden_size, use_bias=config.classifier_bias, kernel_initializer=_outer(config), name="dense"
        )
        self.act = transformers.activations_tf.get_tf_activation(config.classifier_activation)
        self.norm = _norm("norm", config)

    def parts(self) -> Parts:
        return (self.dense, self._width), (self.norm, self._width)

    def call(self, hidden_states: tf.Tensor) -> tf.Tensor:
        """(rows, width, n) to the same shape."""
        return self.norm(self.act(self.dense(hidden_states)))


class TFModernBertPreTrainedModel(transformers.TFPreTrainedModel):
    """What the models share."""

    config_class: Any = transformers.ModernBertConfig
    base_model_prefix = "model"
    # The output layer of the masked language model.
    _keys_to_ignore_on_load_unexpected: Any = (r"^decoder\.",)
    # Encoders that were saved without a head.
    _keys_to_ignore_on_load_missing: Any = (r"^head\.",)

    def get_input_embeddings(self) -> keras.layers.Layer:
        """The layer of the embeddings, which has a `weight`."""
        return self.model.embeddings

    def build(self, input_shape: Any = None) -> None:
        """Create all weights."""
        if not self.built:
            self.built: bool = True
            _build(self.parts())

    def parts(self) -> Parts:
        """The parts with weights."""
        return ((self.model, None),)


class TFModernBertModel(TFModernBertPreTrainedModel):
    """The encoder without a head."""

    def __init__(self, config: Config, *inputs: Any, **kwargs: Any) -> None:
        super().__init__(config, *inputs, **kwargs)
        self.model = TFModernBertMainLayer(config, name="model")

    def call(self, input_ids: tf.Tensor, attention_mask: tf.Tensor | None = None, training: bool = False) -> Any:
        """input_ids, attention_mask: (rows, width). Returns `last_hidden_state`, (rows, width, n)."""
        hidden = self.model(input_ids, attention_mask, training=training)
        return transformers.modeling_tf_outputs.TFBaseModelOutput(last_hidden_state=hidden)


class TFModernBertForTokenClassification(TFModernBertPreTrainedModel):
    """The encoder with a head that returns a logit for each label of each token."""

    def __init__(self, config: Config, *inputs: Any, **kwargs: Any) -> None:
        super().__init__(config, *inputs, **kwargs)
        self.num_labels = config.num_labels
        self.model = TFModernBertMainLayer(config, name="model")
        self.head = TFModernBertPredictionHead(config, name="head")
        self.drop = keras.layers.Dropout(config.classifier_dropout)
        self.classifier = keras.layers.Dense(
            config.num_labels, kernel_initializer=self.head_initializer, name="classifier"
        )

    @property
    def head_initializer(self) -> keras.initializers.Initializer:
        """The distribution from which a new classifier is drawn."""
        config: Any = self.config
        return _cut_normal(config, config.hidden_size**-0.5)

    def parts(self) -> Parts:
        return (self.model, None), (self.head, None), (self.classifier, self.config.hidden_size)

    def call(self, input_ids: tf.Tensor, attention_mask: tf.Tensor | None = None, training: bool = False) -> Any:
        """input_ids, attention_mask: (rows, width). Returns `logits`, (rows, width, labels)."""
        hidden = self.head(self.model(input_ids, attention_mask, training=training))
        logits = self.classifier(self.drop(hidden, training=training))
        return transformers.modeling_tf_outputs.TFTokenClassifierOutput(logits=logits)


transformers.TFAutoModel.register(transformers.ModernBertConfig, TFModernBertModel, exist_ok=True)
transformers.TFAutoModelForTokenClassification.register(
    transformers.ModernBertConfig, TFModernBertForTokenClassification, exist_ok=True
)
