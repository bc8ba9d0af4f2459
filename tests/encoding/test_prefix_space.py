"""The subword tokens of words given one by one are those of the same words in a text."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from tests.encoders import make_modernbert
from tf_tokclf.encoding.tokenizers import load_tokenizer, save_tokenizer, tokenize_function
from tf_tokclf.model.backend import transformers

WORDS = ("Ada's", "U.S.", "1,234", "don't", "Zürich", "été", "(東京)", "x", "New-York", "🙂", ",", "...")
TEXT = " ".join(WORDS)


def make_gemma_like(folder: Path, *, splits: bool) -> Path:
    """As in mmBERT: spaces become U+2581, nothing comes before a text, and there is no step for bytes."""
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.normalizer = normalizers.Replace(" ", "\u2581")
    backend.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=150, special_tokens=["<pad>", "<unk>"], show_progress=False)
    backend.train_from_iterator([f" {TEXT}"] * 3, trainer)
    # The normalizer has already replaced all spaces, so this step never finds one to split at.
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous") if splits else pre_tokenizers.Sequence([])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    return folder


MAKERS = {
    "ModernBERT": lambda folder: make_modernbert(folder, WORDS),
    "ModernBERT, in a sequence": lambda folder: make_modernbert(folder, WORDS, nested=True),
    "mmBERT": lambda folder: make_gemma_like(folder, splits=True),
    "mmBERT, without splits": lambda folder: make_gemma_like(folder, splits=False),
}


@pytest.fixture(scope="module", params=MAKERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MAKERS[request.param](tmp_path_factory.mktemp("tokenizer") / "encoder")


def ids_of_words(folder: Path) -> list[int]:
    tokenize = tokenize_function(load_tokenizer(folder))
    return [id for ids in tokenize(WORDS) for id in ids]


def test_a_word_has_the_tokens_that_it_has_in_a_text(folder: Path):
    original = Tokenizer.from_file(str(folder / "tokenizer.json"))
    in_a_text = original.encode(f" {TEXT}", add_special_tokens=False).ids
    assert ids_of_words(folder) == in_a_text
    without_blanks = [id for word in WORDS for id in original.encode(word, add_special_tokens=False).ids]
    assert without_blanks != in_a_text


def test_a_saved_tokenizer_keeps_this_by_itself(folder: Path, tmp_path: Path):
    save_tokenizer(load_tokenizer(folder), tmp_path)
    expected = ids_of_words(folder)
    assert ids_of_words(tmp_path) == expected
    by_transformers = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    ids = by_transformers(list(WORDS), is_split_into_words=True, add_special_tokens=False)["input_ids"]
    assert ids == expected
    (again := tmp_path / "again").mkdir()
    save_tokenizer(load_tokenizer(tmp_path), again)
    assert (again / "tokenizer.json").read_text() == (tmp_path / "tokenizer.json").read_text()
