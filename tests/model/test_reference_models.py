"""Numbers and files are those of PyTorch, which `scripts/dev/reference_models` has recorded for each model type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.reference_models import (
    CASES,
    FLOAT32,
    ReferenceModel,
    check_gradients,
    check_logits,
    check_mixed_logits,
    check_saved_tensors,
    check_training,
    logits_of,
)
from tf_tokclf.encoding.model_types import MODEL_TYPES
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.portable_weights import save_portable_weights
from tf_tokclf.model.saving import save_config
from tf_tokclf.training.checkpoints import check_tracked

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("untraced"),
    # The classes of transformers warn of themselves, and of initial values that the weights of the file replace.
    pytest.mark.filterwarnings("ignore:`TFSharedEmbeddings`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The initializer:UserWarning"),
]


@pytest.fixture(scope="module", params=CASES)
def reference(request: pytest.FixtureRequest) -> ReferenceModel:
    return ReferenceModel.of(request.param)


@pytest.fixture(scope="module")
def model(reference: ReferenceModel) -> Iterator[keras.Model]:
    yield reference.load()
    keras.backend.clear_session()


def test_every_type_has_a_case_of_its_name():
    assert set(CASES) >= MODEL_TYPES.keys()
    assert all(ReferenceModel.of(name).type == name for name in MODEL_TYPES)


def test_logits(reference: ReferenceModel, model: keras.Model):
    check_logits(reference, model)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", [name for name in CASES if not MODEL_TYPES[ReferenceModel.of(name).type].only_float32])
def test_logits_of_mixed_precision(name: str, policy: str):
    check_mixed_logits(ReferenceModel.of(name), policy)


def test_gradients(reference: ReferenceModel, model: keras.Model):
    check_gradients(reference, model)


def test_a_checkpoint_has_all_weights(model: keras.Model):
    check_tracked(tf.train.Checkpoint(model=model), model.variables)


def test_losses_of_training(reference: ReferenceModel):
    # Tracing a step takes about as long as 20 steps that are not traced.
    tf.config.run_functions_eagerly(len(reference.expected["adamw.losses"]) < 20)
    try:
        check_training(reference)
    finally:
        tf.config.run_functions_eagerly(True)


def test_a_saved_model(reference: ReferenceModel, model: keras.Model, tmp_path: Path):
    save_portable_weights(model, tmp_path / "model.safetensors")
    save_config(model, tmp_path)
    check_saved_tensors(reference, load_file(tmp_path / "model.safetensors"))
    again, whole = load_classifier(tmp_path, precision=FLOAT32), reference.values("whole")
    np.testing.assert_array_equal(logits_of(again, whole).numpy(), logits_of(model, whole).numpy())
