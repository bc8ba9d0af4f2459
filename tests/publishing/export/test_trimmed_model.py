"""A classifier whose vocabulary is trimmed gives the same probabilities for texts whose tokens are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tf_tokclf.encoding.model_info import ModelInfo
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.encoding.windows import WindowSettings
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.backend import keras
from tf_tokclf.model.loading import new_classifier
from tf_tokclf.model.precision import Precision
from tf_tokclf.model.saving import save_model_folder
from tf_tokclf.publishing.export.trimmed_model import vocabulary_change, write_trimmed_model

# These models are so small that tracing would take longer than computing without it.
pytestmark = pytest.mark.usefixtures("untraced")

KEPT = [Sentence(("ada", "visited", "london")), Sentence(("grace", "-", "2"))]
LEFT_OUT = [Sentence(("oslo", "\u4e00"))]


@pytest.fixture(scope="module")
def roberta_classifier(tiny_roberta: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    keras.utils.set_random_seed(11)
    labels = LabelSet(("O", "B-LOC", "I-LOC"), Scheme.IOB2)
    model = new_classifier(tiny_roberta, labels.names, precision=Precision("float32", "test"))
    folder = tmp_path_factory.mktemp("classifier") / "roberta"
    info = ModelInfo(WindowSettings("first", max_length=60, overlap=8), labels)
    save_model_folder(model, load_tokenizer(tiny_roberta), info, folder)
    return folder


@pytest.mark.parametrize("name", ["tiny_classifier", "roberta_classifier"])
def test_texts_whose_tokens_are_kept_get_the_same_probabilities(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
):
    before = Tagger.load(request.getfixturevalue(name), engine="tensorflow")
    write_trimmed_model(before, KEPT, tmp_path / "model")
    after = Tagger.load(tmp_path / "model", engine="tensorflow")
    for one, two in zip(before.tag(KEPT), after.tag(KEPT)):
        np.testing.assert_allclose(one.log_probabilities, two.log_probabilities, atol=1e-5)
        assert one.log_probabilities.std() > 0.05
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["vocab_size"] == len(after.tokenizer) < len(before.tokenizer)
    assert after.model.get_input_embeddings().weight.shape[0] == config["vocab_size"]

    change = vocabulary_change(before, after, [*KEPT, *LEFT_OUT])
    assert (change.n_tokens_before, change.n_tokens_after) == (len(before.tokenizer), len(after.tokenizer))
    # "oslo" is a token no more.
    assert change.n_split_differently == 1
    assert next(iter(after.tag(LEFT_OUT))).n_empty == next(iter(before.tag(LEFT_OUT))).n_empty
    assert vocabulary_change(before, after, KEPT).n_split_differently == 0


def test_unknown_tokens_are_counted(tiny_classifier: Path, tmp_path: Path):
    tagger = Tagger.load(tiny_classifier, engine="tensorflow")
    change = vocabulary_change(tagger, tagger, [Sentence(("ada", "\u4e00")), Sentence(("\u4e00", "london"))])
    assert (change.unknown_before, change.unknown_after) == (0.5, 0.5)
