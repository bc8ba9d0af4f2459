"""Every weight of every model type has the depth that its place says, and only input embeddings are frozen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tf_tokclf.encoding.model_types import MODEL_TYPES
from tf_tokclf.model.backend import keras
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.portable_weights import portable
from tf_tokclf.model.precision import Precision
from tf_tokclf.training.optimizer import freeze_embeddings
from tf_tokclf.training.weight_places import depths

pytestmark = [
    # The classes of transformers warn of themselves, and of initial values that the weights of the file replace.
    pytest.mark.filterwarnings("ignore:`TFSharedEmbeddings`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The initializer:UserWarning"),
]

FOLDER = Path(__file__).parents[1] / "data" / "reference_models"


def parts(*names: str, norm: str = "LayerNorm") -> set[str]:
    """The names in PyTorch of embedding tables, and of their norm."""
    tables = {f"embeddings.{name}_embeddings.weight" for name in ("word", *names)}
    return tables | ({f"embeddings.{norm}.{kind}" for kind in ("weight", "bias")} if norm else set())


_BOXES = tuple(f"{side}_position" for side in "xyhw")
_XLM = {"embeddings.weight", "position_embeddings.weight", "layer_norm_emb.weight", "layer_norm_emb.bias"}
# The input embeddings of types that have other tables than BERT, without the name of the encoder.
EMBEDDINGS = {
    "deberta": parts("position"),
    "deberta-v2": parts(),
    "distilbert": parts("position"),
    "esm": parts(norm=""),
    "flaubert": _XLM,
    "funnel": parts(norm="layer_norm"),
    "layoutlm": parts("position", "token_type", *_BOXES),
    "layoutlmv3": parts("position", "token_type", *_BOXES),
    "modernbert": {"embeddings.tok_embeddings.weight", "embeddings.norm.weight"},
    "mpnet": parts("position"),
    "roformer": parts("token_type"),
    "xlm": _XLM,
    "xlnet": {"word_embedding.weight"},
}
# Weights outside the layers that are not where the embeddings meet the first layer: steps below the head.
ELSEWHERE = {
    "deberta": {r"encoder\.rel_embeddings": 3},
    "deberta-v2": {r"encoder\.(rel_embeddings|LayerNorm)": 3},
    "esm": {r"encoder\.emb_layer_norm_after": 1},
    "modernbert": {r"final_norm": 1, r"head\.": 0},
    "roberta-prelayernorm": {r"LayerNorm\.": 1},
}
N_LAYERS = 2


@pytest.fixture(params=sorted(MODEL_TYPES), name="model")
def _model(request: pytest.FixtureRequest) -> Iterator[keras.Model]:
    yield load_classifier(FOLDER / request.param, precision=Precision("float32", "test"))
    keras.backend.clear_session()


def names_in_pytorch(model: keras.Model, weights: list) -> list[str]:
    """Without the name of the encoder."""
    names = [portable(model, weight, np.zeros(weight.shape))[0] for weight in weights]
    return [name.removeprefix(f"{model.base_model_prefix}.") for name in names]


def expected_depth(model_type: str, name: str) -> int:
    if name.startswith("classifier."):
        return 0
    for pattern, depth in ELSEWHERE.get(model_type, {}).items():
        if re.match(pattern, name):
            return depth
    if found := re.search(r"(?:^|\.)(?:layers?|attentions|ffns|layer_norm[12])\.(\d+)\.", name):
        # One block of one layer each; the decoder of Funnel comes after two of these.
        return (1 if name.startswith("decoder") else N_LAYERS + (model_type == "funnel")) - int(found[1])
    if found := re.search(r"blocks\.(\d+)\.0\.", name):
        return N_LAYERS + 1 - int(found[1])
    n_layers = N_LAYERS + (model_type == "funnel")
    return n_layers + (name in EMBEDDINGS.get(model_type, parts("position", "token_type")))


def test_depths(model: keras.Model):
    weights = model.trainable_weights
    found = depths([weight.name for weight in weights])
    model_type = model.config.model_type
    if model_type == "albert":
        assert found is None
        return
    names = names_in_pytorch(model, weights)
    assert found is not None
    assert dict(zip(names, found)) == {name: expected_depth(model_type, name) for name in names}


def test_frozen_weights_are_the_input_embeddings(model: keras.Model):
    before = set(names_in_pytorch(model, model.trainable_weights))
    n_weights = len(model.weights)
    freeze_embeddings(model)
    after = set(names_in_pytorch(model, model.trainable_weights))
    expected = EMBEDDINGS.get(model.config.model_type, parts("position", "token_type"))
    assert before - after == expected
    assert len(model.weights) == n_weights
