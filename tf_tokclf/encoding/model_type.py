"""Infer the model type of an encoder whose config.json does not state it, as is usual before 2020.

SciBERT and BioBERT are such models. transformers searches the folder's name for the name of a type. That depends on
where a model is stored, so only the content of the folder is used here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

# The settings that Google's BERT published.
_BERT = frozenset(
    [
        "attention_probs_dropout_prob",
        "hidden_act",
        "hidden_dropout_prob",
        "hidden_size",
        "initializer_range",
        "intermediate_size",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "type_vocab_size",
        "vocab_size",
    ]
)
# Types that have the settings of BERT have at least one of these too.
_OTHER_TYPES = frozenset(
    [
        "attention_window",
        "conv_kernel_size",
        "embedding_size",
        "max_2d_position_embeddings",
        "relative_attention",
        "relative_attention_num_buckets",
    ]
)
LONGEST_NAME = 100
_CLASS = re.compile(r"(\w+?)(?:Model|For[A-Z]\w*)")


def inferred_model_type(config: dict[str, Any], folder: Path) -> str | None:
    """The type of a model, if its class or its settings and special tokens leave no doubt.

    A wrong type would be noticed, because the names of all weights must be those of the type.
    """
    classes = config.get("architectures")
    if isinstance(classes, list) and classes:
        return _type_of_class(classes[0])
    if config.keys() >= _BERT and not config.keys() & _OTHER_TYPES and _has_tokens_of_bert(folder / "vocab.txt"):
        return "bert"
    return None


def _type_of_class(name: Any) -> str | None:
    # This module contains only tables of names and imports no classes.
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    # The time of the search grows with the square of the length.
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not (matched := _CLASS.fullmatch(name)):
        return None
    config_class = f"{matched[1]}Config"
    return next((kind for kind, its_class in CONFIG_MAPPING_NAMES.items() if its_class == config_class), None)


def _has_tokens_of_bert(vocabulary: Path) -> bool:
    if not vocabulary.is_file():
        return False
    with vocabulary.open("rb") as file:
        tokens = file.read(100_000).splitlines()
    return {b"[UNK]", b"[CLS]", b"[SEP]"} <= set(tokens)
