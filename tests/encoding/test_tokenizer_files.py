"""Tokenizers of early models, which have only a vocabulary: its capitals, and its conversion."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from tests.encoders import make_bert
from tf_tokclf.encoding.tokenizers import load_tokenizer, tokenize_function
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import transformers

TEXT = "Ada Lovelace visited London with Charles Babbage , was n't it ( so ) ? Zürich 1815"
WORDS = TEXT.split()
CAPITALS = ["Ada", "London", "Zürich", "##Ada", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]


@pytest.fixture
def cased(tmp_path: Path) -> Path:
    """A BERT encoder with capital letters in vocab.txt, and no other file of the tokenizer."""
    folder = make_bert(tmp_path / "cased")
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / file).unlink()
    with (folder / "vocab.txt").open("a", encoding="utf-8") as file:
        file.writelines(f"{token}\n" for token in CAPITALS)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["vocab_size"] += len(CAPITALS)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def set_option(folder: Path, **values: object) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(values), encoding="utf-8")


def test_a_vocabulary_with_capitals_is_not_lower_cased(cased: Path):
    assert load_tokenizer(cased).tokenize("London Zürich") == ["London", "Zürich"]


def test_a_vocabulary_without_capitals_is_lower_cased(cased: Path):
    make_bert(cased, ["london"])
    (cased / "tokenizer.json").unlink()
    (cased / "tokenizer_config.json").unlink()
    assert load_tokenizer(cased).tokenize("London") == ["london"]


def test_the_settings_have_the_last_word_about_capitals(cased: Path):
    set_option(cased, do_lower_case=True)
    assert load_tokenizer(cased).tokenize("Ada") == ["a", "##d", "##a"]
    set_option(cased, model_max_length=64)
    assert load_tokenizer(cased).tokenize("Ada") == ["Ada"]


def test_the_normalizer_counts_if_there_are_no_settings(cased: Path, tmp_path: Path):
    """transformers would lower-case these words, whatever tokenizer.json says."""
    saved = tmp_path / "saved"
    load_tokenizer(cased).save_pretrained(saved)
    for file in ("tokenizer_config.json", "vocab.txt"):
        (saved / file).unlink(missing_ok=True)
    shutil.copy(cased / "config.json", saved)
    assert transformers.AutoTokenizer.from_pretrained(saved).tokenize("Ada") == ["a", "##d", "##a"]
    assert load_tokenizer(saved).tokenize("Ada") == ["Ada"]


@pytest.fixture(scope="module")
def vocabulary() -> bytes:
    """A small model of SentencePiece with the special tokens of DeBERTa v3, and the usual table of characters."""
    written = io.BytesIO()
    special = {f"{name}_id": i for i, name in enumerate(("pad", "bos", "eos", "unk"))}
    special |= {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT, "the quick brown fox jumps over the lazy dog"] * 20),
        model_writer=written,
        vocab_size=90,
        hard_vocab_limit=False,
        minloglevel=2,
        **special,
    )
    return written.getvalue()


def write_deberta(folder: Path, vocabulary: bytes) -> Path:
    """A folder with what the tokenizer of DeBERTa v3 consists of."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "deberta-v2"}', encoding="utf-8")
    set_option(folder, do_lower_case=False, vocab_type="spm")
    (folder / "spm.model").write_bytes(vocabulary)
    return folder


@pytest.fixture(scope="module")
def deberta(vocabulary: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_deberta(tmp_path_factory.mktemp("deberta") / "encoder", vocabulary)


@pytest.fixture(scope="module")
def loaded(deberta: Path) -> Iterator[transformers.PreTrainedTokenizerFast]:
    return load_tokenizer(deberta)


def test_a_converted_vocabulary_is_that_of_transformers(deberta: Path, loaded: transformers.PreTrainedTokenizerFast):
    theirs = transformers.DebertaV2TokenizerFast.from_pretrained(deberta)
    assert type(loaded) is type(theirs)
    assert loaded.special_tokens_map == theirs.special_tokens_map
    assert loaded.get_vocab() == theirs.get_vocab()
    ours, expected = (json.loads(one.backend_tokenizer.to_str()) for one in (loaded, theirs))
    # Writing and reading JSON changes the last digit of some scores.
    scores, expected_scores = (np.array([score for _, score in one["model"].pop("vocab")]) for one in (ours, expected))
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-12)
    assert ours == expected
    for text in (TEXT, "Ａｄａ  ﬁnds\u00a0①  ", "über-Größe 東京"):
        assert loaded(text).input_ids == theirs(text).input_ids


def test_words_one_by_one_have_the_subword_tokens_of_their_text(loaded: transformers.PreTrainedTokenizerFast):
    by_word = tokenize_function(loaded)(WORDS)
    assert [id for ids in by_word for id in ids] == loaded(TEXT, add_special_tokens=False).input_ids
    assert all(loaded.convert_ids_to_tokens(ids)[0].startswith("▁") for ids in by_word)
    slow = sentencepiece.SentencePieceProcessor()
    slow.LoadFromSerializedProto(loaded_vocabulary(loaded))
    assert by_word == [slow.EncodeAsIds(word) for word in WORDS]


def loaded_vocabulary(tokenizer: transformers.PreTrainedTokenizerFast) -> bytes:
    """The vocabulary of a converted tokenizer as a model of SentencePiece without a table of characters."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    model = sentencepiece_model_pb2.ModelProto()
    for piece, score in content["model"]["vocab"]:
        kind = 2 if piece == "[UNK]" else 3 if piece.startswith("[") else 1
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.unk_piece, model.trainer_spec.unk_id = "[UNK]", content["model"]["unk_id"]
    return bytes(model.SerializeToString())


def growing(vocabulary: bytes) -> bytes:
    """The vocabulary with 10,000 characters as a replacement in its table of characters."""
    model = sentencepiece_model_pb2.ModelProto.FromString(vocabulary)
    model.normalizer_spec.precompiled_charsmap += b"a" * 10_000 + b"\0"
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content[: len(content) // 2], "converting the vocabulary failed"),
        (lambda content: b"not a model" * 1000, "converting the vocabulary failed"),
        (growing, "makes texts more than 256 times longer"),
    ],
)
def test_a_damaged_vocabulary_is_one_message(damage, problem: str, vocabulary: bytes, tmp_path: Path):
    folder = write_deberta(tmp_path / "encoder", damage(vocabulary))
    with pytest.raises(UserError, match=problem) as caught:
        load_tokenizer(folder)
    assert f"{folder / 'spm.model'}: " in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_conversion_that_ends_its_process_is_one_message(deberta: Path, monkeypatch: pytest.MonkeyPatch):
    """As a library in C++ does when it aborts."""
    code = "import os, sys; from tf_tokclf.encoding.tokenizer_process import answer; answer({'result': 'ready'});"
    monkeypatch.setattr(
        "tf_tokclf.encoding.tokenizer_process._START",
        f"import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); {code} sys.stdin.readline(); os.abort()",
    )
    with pytest.raises(UserError, match=r"spm\.model: converting the vocabulary ended its process\. Fetch"):
        load_tokenizer(deberta)


def test_a_huge_vocabulary_is_refused(deberta: Path, tmp_path: Path):
    folder = shutil.copytree(deberta, tmp_path / "encoder")
    with (folder / "spm.model").open("r+b") as file:
        file.truncate(100 << 20)
    with pytest.raises(UserError, match=r"spm\.model: is larger than 64 MB"):
        load_tokenizer(folder)
