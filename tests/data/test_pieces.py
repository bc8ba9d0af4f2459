"""Tokenising word by word against the tokenizers' own reading of whole sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WORDS
from tests.encoders import make_unigram_tokenizer
from tf_tokclf.data.pieces import PieceStore
from tf_tokclf.data.tokenizers import load_tokenizer, special_pieces

SENTENCES = [
    ["ada", "visited", "Paris", "."],
    ["don't", "@user", "#tag", "ünïcode", "e\u0301", "\u200b", "日本", "a b", "..."],
    ["Paris"],
    ["\u00ad", "x" * 40, "\ufeff"],
]


@pytest.fixture(scope="module", params=["bert", "roberta", "unigram"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    if request.param != "unigram":
        return load_tokenizer(request.getfixturevalue(f"tiny_{request.param}"))
    folder = tmp_path_factory.mktemp("unigram")
    make_unigram_tokenizer(WORDS).save_pretrained(folder)
    return load_tokenizer(folder)


def test_pieces_of_words_are_those_of_the_sentence(tokenizer: Any):
    store = PieceStore(tokenizer)
    for words in SENTENCES:
        encoding = tokenizer(words, is_split_into_words=True, add_special_tokens=False)
        pieces = store.pieces(words)
        assert pieces.ids.tolist() == encoding["input_ids"]
        expected = [encoding.word_ids().count(i) for i in range(len(words))]
        assert pieces.n_pieces.tolist() == expected


def test_special_pieces_frame_a_sentence(tokenizer: Any):
    before, after = special_pieces(tokenizer)
    words = SENTENCES[0]
    bare = tokenizer(words, is_split_into_words=True, add_special_tokens=False)["input_ids"]
    assert tokenizer(words, is_split_into_words=True)["input_ids"] == [*before, *bare, *after]


def test_inherited_truncation_and_padding_are_switched_off(tiny_bert: Path, tmp_path: Path):
    loaded = load_tokenizer(tiny_bert)
    loaded.backend_tokenizer.enable_truncation(3)
    loaded.backend_tokenizer.enable_padding(length=10)
    loaded.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    words = ["ada", "visited", "paris", "and", "rome", "and", "oslo", "."]
    again = load_tokenizer(tmp_path)
    assert len(again(words, is_split_into_words=True)["input_ids"]) == len(words) + 2
    assert PieceStore(again).pieces(words).n_pieces.tolist() == [1] * len(words)
