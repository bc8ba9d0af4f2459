"""Tokenizers without the tokens that are not needed, compared with the original ones by the library `tokenizers`."""

from __future__ import annotations

import json
import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from tf_tokclf.errors import UserError
from tf_tokclf.publishing.export.vocabulary import trimmed_tokenizer

TEXTS = [
    "ada lovelace lived in london with grace hopper and other programmers",
    "the programming language was named after the programmer",
    "london bridges and the lovely livelihood of landlords",
] * 5
OTHERS = ["hopping programs unlivable bridge", "zebra Quux 123 é"]
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]


def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.BertProcessing(("</s>", 3), ("<s>", 2))
    return tokenizer


def byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 3), ("<s>", 2))
    return tokenizer


def bpe_with_suffix() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=130, special_tokens=SPECIAL, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    # A token behind the vocabulary of the model, such as <mask> in XLM-R.
    tokenizer.add_special_tokens(["<mask>"])
    return tokenizer


@pytest.mark.parametrize("make", [wordpiece, byte_level_bpe, bpe_with_suffix, unigram])
def test_texts_whose_tokens_are_kept_are_tokenized_as_before(make):
    before = make()
    used = {number for encoding in before.encode_batch(TEXTS[:1]) for number in encoding.ids}
    contents, old = trimmed_tokenizer(json.loads(before.to_str()), used)
    after = Tokenizer.from_str(json.dumps(contents))
    assert after.get_vocab_size() == len(old) < 0.9 * before.get_vocab_size()
    assert {before.id_to_token(number): position for position, number in enumerate(old)} == after.get_vocab()
    words = TEXTS[0].split()
    picks = random.Random(3)
    for _ in range(20):
        text = " ".join(picks.choices(words, k=5))
        one, two = before.encode(text), after.encode(text)
        assert one.tokens == two.tokens
        assert [old[number] for number in two.ids] == one.ids
        assert one.offsets == two.offsets


@pytest.mark.parametrize("make", [wordpiece, byte_level_bpe, bpe_with_suffix, unigram])
def test_other_texts_have_no_more_unknown_tokens_than_before(make):
    before = make()
    contents, _ = trimmed_tokenizer(json.loads(before.to_str()), set())
    after = Tokenizer.from_str(json.dumps(contents))
    for text in (*TEXTS[:3], *OTHERS):
        one, two = before.encode(text), after.encode(text)
        assert two.tokens.count("<unk>") <= one.tokens.count("<unk>")
        assert len(two.tokens) >= len(one.tokens)


def test_other_types_of_tokenizers_are_refused():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    with pytest.raises(UserError, match="type WordLevel cannot be trimmed"):
        trimmed_tokenizer(json.loads(tokenizer.to_str()), {0})
