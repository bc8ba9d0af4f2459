"""Tokenizers are loaded and saved as they are; special tokens; the limit of windows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tf_tokclf.encoding.tokenizers import (
    DEFAULT_LIMIT,
    NO_LIMIT,
    SAVED,
    load_tokenizer,
    save_tokenizer,
    special_types,
    window_limit,
)
from tf_tokclf.errors import UserError


def tokenizer_with(post_processor: object) -> transformers.PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({"<cls>": 0, "<sep>": 1, "a": 2}, unk_token="a"))
    backend.post_processor = post_processor
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend)


def template(single: str) -> object:
    return processors.TemplateProcessing(single=single, special_tokens=[("<cls>", 0), ("<sep>", 1)])


@pytest.mark.parametrize(
    ("post_processor", "types"),
    [
        (template("$A:0 <sep>:0 <cls>:2"), ([], [0, 2])),
        (template("<cls>:2 $A:0 <sep>:0"), ([2], [0])),
        (processors.Sequence([processors.ByteLevel(), template("$A <cls>:2")]), ([], [2])),
        (processors.BertProcessing(("<sep>", 1), ("<cls>", 0)), ([], [])),
        (None, ([], [])),
    ],
)
def test_types_of_special_tokens(post_processor: object, types: tuple[list[int], list[int]]):
    tokenizer = tokenizer_with(post_processor) if post_processor else tokenizer_with(processors.Sequence([]))
    assert special_types(tokenizer) == types
    in_full = tokenizer(["a"], is_split_into_words=True)["token_type_ids"]
    assert in_full == [*types[0], 0, *types[1]] or not any(in_full)


def test_without_a_post_processor_there_are_no_special_tokens():
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")))
    assert special_types(tokenizer) == ([], [])


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"model_type": "bert", "pad_token_id": 3}, 20),
        ({"model_type": "roberta", "pad_token_id": 0}, 19),
        ({"model_type": "roberta", "pad_token_id": 3}, 16),
        ({"model_type": "roberta"}, 18),
        ({"model_type": "layoutlmv3", "pad_token_id": 1}, 18),
        # MPNet counts positions from 2, whatever the padding.
        ({"model_type": "mpnet", "pad_token_id": 5}, 18),
    ],
)
def test_positions_before_the_first_token_shorten_windows(tmp_path: Path, settings: dict[str, object], limit: int):
    (tmp_path / "config.json").write_text(json.dumps({**settings, "max_position_embeddings": 20}))
    assert window_limit(tmp_path, tokenizer_with(template("$A"))) == limit


@pytest.mark.parametrize(("model_type", "limit"), [("xlnet", NO_LIMIT), ("funnel", NO_LIMIT), ("bert", DEFAULT_LIMIT)])
def test_models_without_positions_have_no_limit(tmp_path: Path, model_type: str, limit: int):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    tokenizer = tokenizer_with(template("$A"))
    assert window_limit(tmp_path, tokenizer) == limit
    tokenizer.model_max_length = 100
    assert window_limit(tmp_path, tokenizer) == 100


def test_positions_that_are_not_stated_are_those_of_the_default(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "roberta", "max_position_embeddings": None}))
    assert window_limit(tmp_path, tokenizer_with(template("$A"))) == 510


def test_a_saved_tokenizer_is_read_from_tokenizer_json_by_every_version(tmp_path: Path):
    """transformers 5 builds those of other classes again from their vocabulary, without the normaliser of this one."""
    backend = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁a", -1.0), ("▁b", -2.0), ("a", -3.0)], unk_id=0))
    backend.normalizer = normalizers.Replace("c", "b")
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    special = {"unk_token": "<unk>", "pad_token": "<unk>", "cls_token": "▁a", "sep_token": "a"}
    tokenizer = transformers.XLMRobertaTokenizerFast(tokenizer_object=backend, **special)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "xlm-roberta"}))
    save_tokenizer(tokenizer, tmp_path)
    assert not {path.name for path in tmp_path.iterdir()} - {*SAVED, "config.json"}
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    again = load_tokenizer(tmp_path)
    assert again.model_input_names == ["input_ids", "attention_mask"]
    words = ["a", "c", "aa"]
    assert again(words, is_split_into_words=True) == tokenizer(words, is_split_into_words=True)
    assert (again.pad_token, again.cls_token, again.sep_token) == ("<unk>", "▁a", "a")


@pytest.mark.parametrize(
    ("model_type", "names"),
    [
        ("bert", {"input_ids", "token_type_ids", "attention_mask"}),
        *((name, {"input_ids", "attention_mask"}) for name in ("distilbert", "esm", "mpnet", "xlm")),
    ],
)
def test_a_saved_tokenizer_returns_what_the_model_takes(tmp_path: Path, model_type: str, names: set[str]):
    """The general class returns token types unless it is told otherwise, and models would refuse them."""
    tokenizer_with(template("$A <cls>")).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    saved = tmp_path / "saved"
    saved.mkdir()
    save_tokenizer(load_tokenizer(tmp_path), saved)
    assert set(transformers.AutoTokenizer.from_pretrained(saved)("a")) == names


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path: Path):
    tokenizer = tokenizer_with(template("$A <cls>"))
    tokenizer.add_tokens(["<added>"])  # models that never read it have no embedding for it
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 3}))
    assert len(load_tokenizer(tmp_path)) == 4
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 2}))
    with pytest.raises(UserError) as refused:
        load_tokenizer(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}: the tokenizer has 3 tokens, but vocab_size in config.json is 2. "
        "Tokenizer and weights belong to different models. Fetch or save the model again."
    )


def test_tokenizer_json_is_used_for_a_class_that_has_no_fast_version(tmp_path: Path):
    tokenizer_with(template("<cls> $A <sep>")).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "esm"}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "EsmTokenizer"}))
    for vocabulary in (None, "<cls>\n<sep>\na\n"):
        if vocabulary:
            (tmp_path / "vocab.txt").write_text(vocabulary)
        assert load_tokenizer(tmp_path)(["a"], is_split_into_words=True)["input_ids"] == [0, 2, 1]
    (tmp_path / "vocab.txt").write_text("<cls>\na\n<sep>\n")
    with pytest.raises(UserError, match=r"tokenizer\.json: the token '<sep>' has a different id in the vocabulary"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="EsmTokenizer is a slow tokenizer"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("single", ["$A", "[CLS] $A [SEP]"])
def test_a_tokenizer_of_rembert_has_its_special_tokens(tmp_path: Path, single: str):
    """transformers 5 saves a new one with the template "$A", and adds the tokens when it is loaded."""
    backend = Tokenizer(
        models.Unigram([("<pad>", 0.0), ("<unk>", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("▁a", -1.0)], 1)
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    special = [("[CLS]", 2), ("[SEP]", 3)] if single != "$A" else []
    backend.post_processor = processors.TemplateProcessing(single=single, special_tokens=special)
    backend.save(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": "RemBertTokenizer", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "rembert"}))
    saved = tmp_path / "saved"
    saved.mkdir()
    save_tokenizer(load_tokenizer(tmp_path), saved)
    for tokenizer in (load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(saved)):
        assert tokenizer(["a"], is_split_into_words=True)["input_ids"] == [2, 4, 3]


def test_tokens_come_before_padding(tmp_path: Path):
    tokenizer = tokenizer_with(template("$A <cls>"))
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).padding_side == "right"


def test_settings_of_transformers_5_are_read(tmp_path: Path):
    tokenizer_with(template("$A <cls>")).save_pretrained(tmp_path)
    settings = {
        "backend": "tokenizers",
        "tokenizer_class": "TokenizersBackend",
        "cls_token": "<cls>",
        "extra_special_tokens": ["<x>", "<y>"],
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "special_tokens_map.json").unlink()
    for model_type in ("bert", "esm", "xlnet"):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
        tokenizer = load_tokenizer(tmp_path)
        assert tokenizer.additional_special_tokens == ["<x>", "<y>"]
        assert tokenizer.cls_token_id == 0
        assert tokenizer(["a"], is_split_into_words=True)["input_ids"] == [2, 0]
