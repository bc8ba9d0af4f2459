"""Saved tokenizers split words without transformers as they do with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.encoders import make_bert, make_modernbert, make_roberta, make_unigram_tokenizer
from tf_tokclf.encoding.tokenizers import load_tokenizer, save_tokenizer, special_pieces, tokenize_function
from tf_tokclf.encoding.word_tokenizer import read_saved_tokenizer
from tf_tokclf.errors import UserError

WORDS = [
    "Ada",
    "lovelace",
    "visited",
    "London",
    "n't",
    "Z\u00fcrich",
    "\u200b",
    "[MASK]",
    "<mask>",
    "a-b",
    "\u4e2d\u6587",
    "1815",
]
CHANGES: dict[str, dict[str, Any]] = {
    "another class": {"tokenizer_class": "BertTokenizerFast"},
    "a token that is not in it": {"additional_special_tokens": ["<new>"]},
}


def unigram(folder: Path, words: list[str]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "xlm-roberta", "pad_token_id": 1}))
    make_unigram_tokenizer(words).save_pretrained(folder)
    return folder


MAKERS: dict[str, Callable[[Path, list[str]], Path]] = {
    "bert": make_bert,
    "roberta": make_roberta,
    "modernbert": lambda folder, words: make_modernbert(folder, words, nested=True),
    "unigram": unigram,
}


def saved(maker: str, tmp_path: Path) -> Path:
    """A folder as this project writes it."""
    folder = tmp_path / "saved"
    folder.mkdir()
    source = MAKERS[maker](tmp_path / "source", WORDS * 5)
    save_tokenizer(load_tokenizer(source), folder)
    (folder / "config.json").write_text((source / "config.json").read_text())
    return folder


@pytest.mark.parametrize("maker", MAKERS)
def test_saved_tokenizers_need_no_transformers(maker: str, tmp_path: Path):
    folder = saved(maker, tmp_path)
    own, theirs = read_saved_tokenizer(folder), load_tokenizer(folder)
    assert own is not None
    assert tokenize_function(own)(WORDS) == tokenize_function(theirs)(WORDS)
    assert special_pieces(own) == special_pieces(theirs)
    assert own.pad_token_id == theirs.pad_token_id
    assert own.model_max_length == theirs.model_max_length
    assert own.backend_tokenizer.truncation is own.backend_tokenizer.padding is None


@pytest.mark.parametrize("change", CHANGES)
def test_what_transformers_would_change_is_left_to_it(change: str, tmp_path: Path):
    folder = saved("bert", tmp_path)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | CHANGES[change]))
    assert read_saved_tokenizer(folder) is None


def test_a_setting_for_spaces_that_differs_from_the_file_is_left_to_transformers(tmp_path: Path):
    folder = saved("roberta", tmp_path)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"add_prefix_space": False}))
    assert read_saved_tokenizer(folder) is None


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path: Path):
    folder = saved("bert", tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 9}))
    with pytest.raises(UserError, match=r"but vocab_size in config\.json is 9"):
        read_saved_tokenizer(folder)


def test_a_damaged_tokenizer_is_refused(tmp_path: Path):
    folder = saved("bert", tmp_path)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["type"] = "Unknown"
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"tokenizer.json: cannot be read"):
        read_saved_tokenizer(folder)
