"""The table of what is special about types in TensorFlow."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tf_tokclf.encoding.model_types import MODEL_TYPES
from tf_tokclf.model.architectures import registry
from tf_tokclf.model.architectures.registry import (
    Architecture,
    architecture_of,
    correct,
    in_pytorch_shape,
    pytorch_names,
)
from tf_tokclf.model.backend import transformers


def model_of(model_type: str) -> SimpleNamespace:
    return SimpleNamespace(config=SimpleNamespace(model_type=model_type))


def test_every_row_is_of_a_known_type():
    assert set(registry._ARCHITECTURES) <= set(MODEL_TYPES)


def test_a_type_without_a_row_needs_nothing_special():
    assert architecture_of(model_of("rembert")) == architecture_of(model_of("written-by-its-author")) == Architecture()


def test_names_in_pytorch_come_before_those_of_earlier_versions():
    name = "deberta.encoder.layer.0.attention.self.pos_q_proj.weight"
    assert pytorch_names(model_of("deberta-v2"), name) == (name.replace("pos_q_proj", "pos_query_proj"), name)
    assert pytorch_names(model_of("deberta"), name) == (name,)


@pytest.mark.filterwarnings("ignore:`TFSharedEmbeddings`:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("DistilBert", {"dim": 8, "n_heads": 2, "n_layers": 1, "hidden_dim": 8, "sinusoidal_pos_embds": True}),
        ("Flaubert", {"emb_dim": 8, "n_heads": 2, "n_layers": 1, "sinusoidal_embeddings": True}),
    ],
)
def test_a_table_of_sines_is_trained(name: str, sizes: dict[str, object], tmp_path: Path):
    """As in PyTorch: its `requires_grad` is False in a new model, but True after `from_pretrained` (4.54 and 5.24)."""
    config = getattr(transformers, f"{name}Config")(vocab_size=9, max_position_embeddings=6, **sizes)
    model = getattr(transformers, f"TF{name}ForTokenClassification")(config)
    correct(model, tmp_path)
    model.build_in_name_scope()
    assert [w.shape for w in model.trainable_weights if "/position_embeddings/" in w.name] == [(6, 8)]


@pytest.mark.parametrize(("model_type", "shape"), [("convbert", (12, 1)), ("bert", (12,))])
def test_only_convbert_has_other_shapes_in_pytorch(model_type: str, shape: tuple[int, ...]):
    name = "convbert.encoder.layer.0.attention.self.key_conv_attn_layer.bias"
    assert in_pytorch_shape(model_of(model_type), name, np.zeros(12)).shape == shape
