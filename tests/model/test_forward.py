"""TensorFlow's forward pass: padding changes no score, and a model that was used is freed."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tensorflow.python.framework import ops

from tf_tokclf.encoding.encoder import Windows
from tf_tokclf.forward_pass import Replaced
from tf_tokclf.inference.word_scores import WordScores, score_windows
from tf_tokclf.model.backend import tf
from tf_tokclf.model.forward import TensorFlowPass
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.precision import Precision

pytestmark = [
    # The classes of transformers warn of themselves, and of initial values that the weights of the file replace.
    pytest.mark.filterwarnings("ignore:`TFSharedEmbeddings`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The initializer:UserWarning"),
]
REFERENCE_MODELS = Path(__file__).parents[1] / "data" / "reference_models"
LENGTHS = (13, 5, 9, 13)


def windows_of(lengths: tuple[int, ...]) -> Windows:
    """One window per sentence; each of its tokens is a word."""
    input_ids = np.random.default_rng(3).integers(6, 40, sum(lengths)).astype(np.int32)
    word = np.concatenate([np.arange(n) for n in lengths]).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Windows(starts, input_ids, word, np.arange(len(lengths)), np.ones(sum(lengths), dtype=np.int32))


def only(windows: Windows, row: int) -> Windows:
    return windows.rows(np.arange(len(windows)) == row)


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("name", ["bert", "convbert", "funnel", "mobilebert", "xlnet"])
def test_a_window_has_the_same_scores_alone_as_among_others(name: str):
    model = load_classifier(REFERENCE_MODELS / name, precision=Precision("float32", "test"))
    forward, windows = TensorFlowPass(model), windows_of(LENGTHS)

    def scores(windows: Windows, *, lanes: int = 1) -> dict[int, np.ndarray]:
        passes = Replaced(replace(forward.facts, lanes=lanes), forward)
        batches: list[WordScores] = list(score_windows(passes, windows, batch_size=8, pad_id=0, longest=20))
        rows = np.concatenate([batch.sentence for batch in batches])
        values = np.concatenate([batch.log_probabilities for batch in batches])
        return {row: values[rows == row] for row in np.unique(rows)}

    # In two batches at the same time.
    together = scores(windows, lanes=2)
    assert {row: len(values) for row, values in together.items()} == dict(enumerate(LENGTHS))
    for row, values in together.items():
        np.testing.assert_allclose(scores(only(windows, row))[row], values, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_a_model_that_was_used_is_freed(name: str):
    """TensorFlow kept the traces of each model that was evaluated, and with them its weights: 0.1 GB for MiniLM-L6."""
    model = load_classifier(REFERENCE_MODELS / name, precision=Precision("float32", "test"))
    forward, known = TensorFlowPass(model), set(ops.gradient_registry._registry)
    (batch,) = score_windows(forward, windows_of((3,)), batch_size=8, pad_id=0, longest=20)
    assert len(batch.word) == 3
    graph = weakref.ref(forward._forward.get_concrete_function().graph)
    del model, forward, batch
    gc.collect()
    assert set(ops.gradient_registry._registry) == known
    assert graph() is None


def test_memory_that_runs_out_has_pythons_own_name(monkeypatch: pytest.MonkeyPatch):
    model = load_classifier(REFERENCE_MODELS / "bert", precision=Precision("float32", "test"))
    forward = TensorFlowPass(model)

    def full(*arrays: object) -> object:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(forward, "_forward", full)
    with pytest.raises(MemoryError):
        forward(np.zeros((1, 3), np.int32), np.array([3], np.int32), np.zeros((1, 2), np.int32))


@pytest.mark.parametrize("name", ["albert", "bert", "modernbert"])
def test_the_head_turns_hidden_states_into_scores(name: str):
    model = load_classifier(REFERENCE_MODELS / name, precision=Precision("float32", "test"))
    passes = TensorFlowPass(model)
    rng = np.random.default_rng(4)
    batch = rng.integers(6, 40, (3, 12)).astype(np.int32), np.array([12, 7, 9], np.int32)
    positions = np.array([[0, 0], [0, 11], [1, 6], [2, 3]], np.int32)
    states = tf.constant(passes.hidden_states(*batch, positions))
    if name == "modernbert":
        states = model.head(states[None])[0]
    expected = tf.nn.log_softmax(model.classifier(states))
    np.testing.assert_allclose(passes(*batch, positions), expected, atol=1e-5)
