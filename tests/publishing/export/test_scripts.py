"""Tokens of scripts, for each kind of tokenizer, and a classifier that keeps only these."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.encoders import make_bert
from tf_tokclf.encoding.model_info import ModelInfo
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.encoding.windows import WindowSettings
from tf_tokclf.errors import UserError
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.loading import new_classifier
from tf_tokclf.model.precision import Precision
from tf_tokclf.model.saving import save_model_folder
from tf_tokclf.publishing.export.scripts import ids_in_scripts, scripts_in
from tf_tokclf.publishing.export.trimmed_model import write_trimmed_model

WORDS = ("ada", "привет", "λόγος", "東京", "naïve", "12:30", "ада")


def kept(tokenizer: Tokenizer, *scripts: str) -> set[str]:
    return {tokenizer.id_to_token(number) for number in ids_in_scripts(tokenizer, scripts)}


@pytest.mark.parametrize("prefix", ["", "##", "\u2581"])
def test_tokens_of_words_are_kept_by_their_scripts(prefix: str):
    vocabulary = {f"{prefix}{word}": i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="ada"))
    found = {name: {token.removeprefix(prefix) for token in kept(tokenizer, name)} for name in ("latin", "Cyrillic")}
    assert found == {"latin": {"ada", "naïve", "12:30"}, "Cyrillic": {"привет", "ада", "12:30"}}
    assert len(kept(tokenizer, "latin", "greek", "han")) == 5


def test_tokens_of_bytes_are_kept_by_the_text_that_they_stand_for():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 9, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    texts = {tokenizer.decode([tokenizer.token_to_id(token)]) for token in kept(tokenizer, "latin")}
    assert {"ada", " naïve"} <= texts
    assert not {" привет", " λόγος", " ада"} & texts
    # Single bytes, such as the two of a Cyrillic letter, are still there.
    assert {*pre_tokenizers.ByteLevel.alphabet()} <= kept(tokenizer, "latin")
    cyrillic = {tokenizer.decode([tokenizer.token_to_id(token)]) for token in kept(tokenizer, "cyrillic")}
    assert " привет" in cyrillic
    assert "ada" not in cyrillic


@pytest.mark.parametrize("name", ["latn1", "", "klingon", "latin}\\w"])
def test_an_unknown_script_is_refused(name: str):
    with pytest.raises(UserError, match=re.escape(f"there is no script {name!r}")):
        scripts_in(f"scripts:latin,{name}")


@pytest.mark.usefixtures("untraced")
def test_a_classifier_keeps_tokens_of_scripts_and_of_texts(tmp_path: Path):
    encoder = make_bert(tmp_path / "encoder", ("ada", "london", "привет", "мир"))
    labels = LabelSet(("O", "B-LOC", "I-LOC"), Scheme.IOB2)
    model = new_classifier(encoder, labels.names, precision=Precision("float32", "test"))
    info = ModelInfo(WindowSettings("first", max_length=24, overlap=4), labels)
    save_model_folder(model, load_tokenizer(encoder), info, tmp_path / "model")
    before = Tagger.load(tmp_path / "model", engine="tensorflow")
    write_trimmed_model(before, [Sentence(("мир",))], tmp_path / "small", scripts=("latin",))
    vocabulary = load_tokenizer(tmp_path / "small").get_vocab()
    assert {"ada", "london", "мир", "[UNK]", "[CLS]"} <= vocabulary.keys()
    assert "привет" not in vocabulary
