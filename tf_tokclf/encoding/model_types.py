"""What is known about each type of encoder, as far as it needs no TensorFlow: one row for each type.

`model/architectures/registry.py` has what TensorFlow needs to know. `docs/encoders.md` shows what works with each type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_tokclf.encoding.modernbert_config import modernbert_settings

# The default of pad_token_id in the types that count positions from it. MPNet always counts as if it were 1.
DEFAULT_PADDING = 1
CAUSAL = "a word would be labelled without the words after it"


@dataclass(frozen=True)
class Switch:
    """A setting that changes what a model computes. reason: why values that are not `allowed` are refused."""

    allowed: tuple[Any, ...]
    reason: str


_ONLY_ABSOLUTE = {
    "position_embedding_type": Switch(
        (None, "absolute"), "the TensorFlow class of this model type only computes absolute positions"
    )
}


@dataclass(frozen=True)
class ModelType:
    """The facts about a type of encoder.

    switches: settings of this type that change what a model computes. extra_settings: settings that the TensorFlow
    class reads although they are not arguments of the configuration's constructor. read_settings: converts and checks
    settings that transformers writes in several forms.

    is_unlimited: windows may have any length, because the model computes only distances. counts_from_padding: positions
    start at pad_token_id + 1, so that fewer of them are left for tokens. first_position: where they start in other
    types.

    takes_token_types: the PyTorch class accepts the token types of a tokenizer, and computes the same with them as
    without. only_float32: why the type cannot be computed with 16-bit numbers; None if it can. reads_padding: scores
    depend on the padding behind a row, so that only rows of the same length can be computed together.
    """

    switches: Mapping[str, Switch] = field(default_factory=dict)
    extra_settings: frozenset[str] = frozenset()
    read_settings: Callable[[Mapping[str, Any], Path], dict[str, Any]] | None = None
    is_unlimited: bool = False
    counts_from_padding: bool = False
    first_position: int = 0
    takes_token_types: bool = True
    only_float32: str | None = None
    reads_padding: bool = False


_LIKE_BERT = ModelType(switches=_ONLY_ABSOLUTE)
_LIKE_ROBERTA = ModelType(switches=_ONLY_ABSOLUTE, counts_from_padding=True)

# The types with a TensorFlow class for token classification in transformers 4.54, and those with a class in
# tf_tokclf/model/architectures. A test compares them, and extra_settings, with the source of transformers.
MODEL_TYPES: Mapping[str, ModelType] = {
    "albert": _LIKE_BERT,
    "bert": _LIKE_BERT,
    "camembert": _LIKE_ROBERTA,
    "convbert": ModelType(
        switches={"head_ratio": Switch((None, 2), "PyTorch computes heads of another width than the TensorFlow class")}
    ),
    "deberta": ModelType(
        switches={"talking_head": Switch((None, False), "the TensorFlow class cannot mix attention heads")},
        extra_settings=frozenset(["cls_dropout", "embedding_size", "talking_head"]),
        # In training, TensorFlow raises an exception for mixed types.
        only_float32="DeBERTa v1 does not support mixed precision",
    ),
    "deberta-v2": ModelType(
        switches={"conv_groups": Switch((None, 1), "the TensorFlow class only computes convolutions of one group")},
        extra_settings=frozenset(
            [
                "attention_head_size",
                "cls_dropout",
                "conv_act",
                "conv_groups",
                "conv_kernel_size",
                "embedding_size",
                "norm_rel_ebd",
                "position_buckets",
                "share_att_key",
            ]
        ),
    ),
    "distilbert": ModelType(takes_token_types=False),
    "electra": _LIKE_BERT,
    "esm": ModelType(
        switches={
            "position_embedding_type": Switch(
                (None, "absolute", "rotary"),
                "the TensorFlow class of this model type only computes absolute and rotary positions",
            )
        },
        extra_settings=frozenset(["embedding_size"]),
        counts_from_padding=True,
        takes_token_types=False,
    ),
    # The PyTorch classes of FlauBERT and XLM read token types as subword tokens, and add their embeddings.
    "flaubert": ModelType(extra_settings=frozenset(["initializer_range"]), takes_token_types=False),
    "funnel": ModelType(
        switches={"separate_cls": Switch((None, True), "the TensorFlow class cannot pool the first token with others")},
        is_unlimited=True,
        # Also in prediction.
        only_float32="Funnel does not support mixed precision",
        # It pools neighbouring tokens.
        reads_padding=True,
    ),
    "layoutlm": _LIKE_BERT,
    "layoutlmv3": ModelType(counts_from_padding=True),
    "longformer": ModelType(counts_from_padding=True, only_float32="Longformer returns NaN in float16"),
    "mobilebert": ModelType(),
    "modernbert": ModelType(read_settings=modernbert_settings, takes_token_types=False),
    "mpnet": ModelType(first_position=DEFAULT_PADDING + 1, takes_token_types=False),
    "rembert": ModelType(),
    "roberta": _LIKE_ROBERTA,
    "roberta-prelayernorm": _LIKE_ROBERTA,
    "roformer": ModelType(),
    "xlm": ModelType(
        switches={"sinusoidal_embeddings": Switch((None, False), "the TensorFlow class has no sinusoidal positions")},
        extra_settings=frozenset(["initializer_range"]),
        takes_token_types=False,
    ),
    "xlm-roberta": _LIKE_ROBERTA,
    "xlnet": ModelType(
        switches={
            "attn_type": Switch((None, "bi"), CAUSAL),
            "bi_data": Switch((None, False), "half of the sentences would be read backwards"),
        },
        is_unlimited=True,
    ),
}


def facts_of(model_type: object) -> ModelType:
    """The facts about a type, or the defaults if it is not in the table.

    model_type: from a configuration that may not be checked yet.
    """
    return MODEL_TYPES.get(model_type, ModelType()) if isinstance(model_type, str) else ModelType()


def first_position(config: Mapping[str, Any]) -> int:
    """The position of the first token in a model's table of positions."""
    facts = facts_of(config.get("model_type"))
    if not facts.counts_from_padding:
        return facts.first_position
    padding = config.get("pad_token_id", DEFAULT_PADDING)
    return (DEFAULT_PADDING if padding is None else int(padding)) + 1
