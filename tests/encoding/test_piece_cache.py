"""Tokenising single words gives the same result as tokenising whole sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import WORDS
from tests.encoders import make_panicking, make_unigram_tokenizer
from tests.values import check_values
from tf_tokclf.encoding.piece_cache import Pieces, PieceStore, ranges
from tf_tokclf.encoding.tokenizers import load_tokenizer, special_pieces
from tf_tokclf.errors import UserError

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


def test_a_word_is_tokenised_once_until_too_many_are_known(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch):
    """Each new word is tokenised once. A full store is emptied, and the results stay the same."""

    class Counting:
        def __init__(self, backend: Any) -> None:
            self.backend, self.asked = backend, []
            self.normalizer = self.pre_tokenizer = None

        def encode_batch(self, words: list[list[str]], **options: Any) -> Any:
            self.asked.append([word for (word,) in words])
            return self.backend.encode_batch(words, **options)

    tokenizer = load_tokenizer(tiny_bert)
    options = {"is_split_into_words": True, "add_special_tokens": False}
    expected = {word: tokenizer([word], **options)["input_ids"] for word in "abcde"}
    backend = Counting(tokenizer.backend_tokenizer)
    store = PieceStore(type("Tokenizer", (), {"backend_tokenizer": backend})())
    monkeypatch.setattr("tf_tokclf.encoding.piece_cache.MAX_WORDS", 3)
    for words in ("abab", "ba", "", "cab", "d", "ad", "e"):
        assert store.pieces(list(words)).ids.tolist() == [i for word in words for i in expected[word]]
    # Four words are more than the limit of three, so the next request finds an empty store.
    assert backend.asked == [["a", "b"], ["c"], ["d"], ["a", "d"], ["e"]]


def test_words_without_pieces_and_halves_of_characters(tokenizer: Any):
    store = PieceStore(tokenizer)
    assert store.pieces([]).ids.tolist() == store.pieces([]).n_pieces.tolist() == []
    words = ["ada", "\u200b", "rome"]
    assert store.pieces(words).n_pieces.sum() == len(store.pieces(words).ids)
    assert store.pieces(["a\ud800"]).ids.tolist() == store.pieces(["a?"]).ids.tolist()
    assert (
        store.pieces(["é"]).ids.tolist()
        == tokenizer(["é"], is_split_into_words=True, add_special_tokens=False)["input_ids"]
    )


def test_pieces_are_numbers_of_fixed_sizes(tokenizer: Any):
    check_values(Pieces)
    store = PieceStore(tokenizer)
    for words in ([], ["ada"], ["ada", "rome"]):
        pieces = store.pieces(words)
        assert (pieces.ids.dtype, pieces.n_pieces.dtype) == (np.int32, np.int64)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 4)), max_size=6))
def test_ranges_are_those_of_python(runs: list[tuple[int, int]]):
    starts, lengths = (np.array([run[i] for run in runs], dtype=int) for i in (0, 1))
    assert ranges(starts, lengths).tolist() == [i for start, n in runs for i in range(start, start + n)]


def test_a_word_that_the_tokenizer_panics_on_is_named(tiny_classifier: Path, tmp_path: Path):
    store = PieceStore(load_tokenizer(make_panicking(tiny_classifier, tmp_path / "panics")))
    with pytest.raises(UserError, match="the tokenizer fails on the word '😀': index out of bounds"):
        store.pieces(["ada", "x", "😀", "y"])
    assert store.pieces(["ada", "london"]).n_pieces.tolist() == [1, 1]


def test_a_word_that_the_tokenizer_cannot_represent_is_named(tiny_bert: Path):
    tokenizer = load_tokenizer(tiny_bert)
    # tokenizers raises a bare Exception here.
    tokenizer.backend_tokenizer.model.unk_token = "[NOT THERE]"
    with pytest.raises(UserError, match="the tokenizer fails on the word 'é日': WordPiece error: Missing"):
        PieceStore(tokenizer).pieces(["ada", "é日"])
