"""XLNet gets the token types of its tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tf_tokclf.model.backend import tf
from tf_tokclf.model.forward import piece_logits
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.precision import Precision

REFERENCE_MODEL = Path(__file__).parents[2] / "data" / "reference_models" / "xlnet"
SEP, CLS, PAD = 3, 4, 5

pytestmark = [
    pytest.mark.usefixtures("untraced"),
    pytest.mark.filterwarnings("ignore:`TFSharedEmbeddings`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The initializer:UserWarning"),
]


def test_the_last_token_has_its_own_type(tmp_path: Path):
    """As in a call of transformers' class with what the tokenizer returns."""
    shutil.copytree(REFERENCE_MODEL, tmp_path / "model")
    backend = Tokenizer(models.WordLevel({"a": 7, "b": 8, "c": 9, "<sep>": SEP, "<cls>": CLS}, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A:0 <sep>:0 <cls>:2", special_tokens=[("<sep>", SEP), ("<cls>", CLS)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend)
    tokenizer.save_pretrained(tmp_path / "model")
    model = load_classifier(tmp_path / "model", precision=Precision("float32", "test"))

    batch = [tokenizer(text, return_tensors="tf") for text in ("a b c a", "b c")]
    assert batch[1]["token_type_ids"].numpy().tolist() == [[0, 0, 0, 2]]
    input_ids = np.full((2, 7), PAD, dtype=np.int32)
    mask = np.zeros((2, 7), dtype=np.int32)
    for row, encoding in enumerate(batch):
        n = encoding["input_ids"].shape[1]
        input_ids[row, :n], mask[row, :n] = encoding["input_ids"], 1
    logits = piece_logits(model, tf.constant(input_ids), tf.constant(mask), training=False).numpy()

    with_types = [model(**encoding).logits.numpy()[0] for encoding in batch]
    without = [model(**encoding | {"token_type_ids": tf.zeros_like(encoding["input_ids"])}) for encoding in batch]
    for row, expected in enumerate(with_types):
        np.testing.assert_allclose(logits[row, : len(expected)], expected, rtol=0, atol=1e-5)
        assert np.abs(without[row].logits.numpy()[0] - expected).max() > 0.01
