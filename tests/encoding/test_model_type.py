"""Encoders whose config.json does not state a model type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tf_tokclf.encoding.model_config import check_model_config, model_config
from tf_tokclf.errors import UserError

# The whole config.json of SciBERT and BioBERT.
BERT = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "type_vocab_size": 2,
    "vocab_size": 31116,
}
TOKENS = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nprotein\n"


def write(folder: Path, config: dict[str, Any], vocabulary: str | None = TOKENS) -> Path:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if vocabulary is not None:
        (folder / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    return folder


def test_settings_and_special_tokens_of_bert(tmp_path: Path):
    assert model_config(write(tmp_path, BERT))["model_type"] == "bert"
    assert check_model_config(tmp_path)["hidden_size"] == 768
    assert model_config(write(tmp_path, {**BERT, "layer_norm_eps": 1e-12}))["model_type"] == "bert"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BertForMaskedLM", "bert"),
        ("RobertaModel", "roberta"),
        ("RoFormerForMaskedLM", "roformer"),
        ("XLMRobertaForTokenClassification", "xlm-roberta"),
        ("DebertaV2ForMaskedLM", "deberta-v2"),
        ("LongformerModel", "longformer"),
    ],
)
def test_names_of_classes(name: str, expected: str, tmp_path: Path):
    assert model_config(write(tmp_path, {**BERT, "architectures": [name]}, None))["model_type"] == expected


def test_a_stated_type_is_kept(tmp_path: Path):
    config = {**BERT, "model_type": "electra", "architectures": ["BertModel"]}
    assert model_config(write(tmp_path, config))["model_type"] == "electra"


@pytest.mark.parametrize(
    "change",
    [
        {"vocabulary": None},
        {"vocabulary": "<s>\n</s>\n<unk>\n"},
        {"config": {**BERT, "embedding_size": 128}},
        {"config": {**BERT, "relative_attention": True}},
        {"config": {name: value for name, value in BERT.items() if name != "type_vocab_size"}},
        {"config": {**BERT, "architectures": ["MyModel"]}},
        {"config": {**BERT, "architectures": [7]}},
    ],
)
def test_a_type_in_doubt_is_asked_for(change: dict[str, Any], tmp_path: Path):
    write(tmp_path, **{"config": BERT, "vocabulary": TOKENS, **change})
    with pytest.raises(UserError, match=r'has no model_type\. Check .* and add its type, such as "model_type": "bert"'):
        check_model_config(tmp_path)


def test_the_name_of_the_folder_does_not_count(tmp_path: Path):
    folder = tmp_path / "roberta"
    folder.mkdir()
    assert model_config(write(folder, BERT))["model_type"] == "bert"
