"""What a tokenizer says about special tokens, and the limit of windows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers
from tokenizers import Tokenizer, models, processors

from tf_tokclf.encoding.tokenizers import special_types, window_limit


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
