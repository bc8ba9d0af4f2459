"""Create tiny encoders from a configuration and a vocabulary: real models that need no network."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tf_tokclf.model.architectures.modernbert import TFModernBertModel
from tf_tokclf.model.backend import keras, transformers

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,'-@#"
# How GPT-2's tokenizer splits a text into words, each with the space before it.
SPLIT_OF_GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}


def make_bert(folder: Path, words: Iterable[str] = (), **changes: object) -> Path:
    """A BERT encoder with two layers. Its vocabulary consists of `words` and single letters."""
    folder.mkdir(parents=True, exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary += sorted({word.lower() for word in words}.difference(vocabulary))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    limit = {**SIZES, **changes}["max_position_embeddings"]
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=limit)
    config = transformers.BertConfig(vocab_size=len(vocabulary), **{**SIZES, **changes})
    return save_encoder(folder, transformers.TFBertModel, config, tokenizer)


def make_roberta(folder: Path, words: Iterable[str]) -> Path:
    """A RoBERTa encoder: byte-level subwords, a space before each word, positions from pad_token_id + 1."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(words, trainer)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=True)
    tokenizer = transformers.RobertaTokenizerFast(tokenizer_object=backend, model_max_length=62)
    config = transformers.RobertaConfig(
        vocab_size=backend.get_vocab_size(), **SIZES, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2
    )
    return save_encoder(folder, transformers.TFRobertaModel, config, tokenizer)


def make_modernbert(folder: Path, words: Iterable[str], *, nested: bool = False, **changes: object) -> Path:
    """A ModernBERT encoder with a global and three local layers, and byte-level subwords.

    nested: the pre-tokenizer is a sequence, whose first step splits the text.
    """
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if nested:
        split = pre_tokenizers.Split(Regex(SPLIT_OF_GPT2), "isolated")
        whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, whole])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([" ".join(words)], trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    limit = {**SIZES, **changes}["max_position_embeddings"]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=limit,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )
    sizes = {**SIZES, "num_hidden_layers": 4, "local_attention": 6, **changes}
    config = transformers.ModernBertConfig(
        vocab_size=backend.get_vocab_size(), pad_token_id=3, cls_token_id=1, sep_token_id=2, **sizes
    )
    return save_encoder(folder, TFModernBertModel, config, tokenizer)


def make_distilbert(folder: Path) -> Path:
    """A DistilBERT encoder with two layers and the tokenizer of `make_bert` without words."""
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64}
    tokenizer = transformers.AutoTokenizer.from_pretrained(make_bert(folder))
    config = transformers.DistilBertConfig(vocab_size=len(tokenizer), **sizes)
    return save_encoder(folder, transformers.TFDistilBertModel, config, tokenizer)


def make_unigram_tokenizer(words: Iterable[str]) -> object:
    """A tokenizer like SentencePiece, as in XLM-R, CamemBERT and ALBERT."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(words, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def make_panicking(classifier: Path, folder: Path) -> Path:
    """A copy of `classifier` whose tokenizer panics in its Rust code on characters beyond U+FFFF, such as emoji.

    Its table of characters (a double array) ends before the first byte of those in UTF-8. What tokenizers then raises
    does not derive from Exception.
    """
    shutil.copytree(classifier, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    n_bytes = 4 * 0xF0
    table = base64.b64encode(n_bytes.to_bytes(4, "little") + bytes(n_bytes)).decode()
    precompiled = {"type": "Precompiled", "precompiled_charsmap": table}
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [tokenizer["normalizer"], precompiled]}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def save_encoder(folder: Path, model_class: type, config: object, tokenizer: object) -> Path:
    """An encoder as on the Hub: safetensors in the layout of PyTorch, without a head."""
    from tf_tokclf.model.portable_weights import save_portable_weights

    keras.utils.set_random_seed(7)
    model = model_class(config)
    model.build_in_name_scope()
    config.architectures = [model_class.__name__.removeprefix("TF")]
    config.save_pretrained(folder)
    save_portable_weights(model, folder / "model.safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    return folder
