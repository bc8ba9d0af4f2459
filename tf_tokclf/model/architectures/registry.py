"""What TensorFlow needs to know about each type of encoder: one row for each type.

`encoding/model_types.py` has what is known without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tf_tokclf.encoding.tokenizer_files import has_tokenizer
from tf_tokclf.encoding.tokenizers import load_tokenizer, special_types
from tf_tokclf.model.architectures.albert import use_packing_of_albert
from tf_tokclf.model.architectures.bert import use_packing_of_bert
from tf_tokclf.model.architectures.convbert import hide_padding, pytorch_shape
from tf_tokclf.model.architectures.deberta_v2 import use_skewing
from tf_tokclf.model.architectures.distilbert import use_packing_of_distilbert
from tf_tokclf.model.architectures.esm import correct_esm
from tf_tokclf.model.architectures.funnel import correct_funnel
from tf_tokclf.model.architectures.layoutlmv3 import correct_layoutlmv3
from tf_tokclf.model.architectures.mobilebert import correct_mobilebert
from tf_tokclf.model.architectures.modernbert import TFModernBertForTokenClassification
from tf_tokclf.model.architectures.mpnet import correct_mpnet, use_packing_of_mpnet
from tf_tokclf.model.architectures.roberta import start_after_padding
from tf_tokclf.model.architectures.roformer import fix_positions
from tf_tokclf.model.architectures.xlm import correct_xlm
from tf_tokclf.model.architectures.xlnet import correct_xlnet
from tf_tokclf.model.backend import keras

# Changes a new model, before its weights are created, so that it computes what the PyTorch class computes.
Correction = Callable[[keras.Model], None]


@dataclass(frozen=True)
class Architecture:
    """What is special about the TensorFlow class of a type.

    own_class: the class of this project, for types without a class in transformers. correct: corrects the class of
    transformers. read_token_types: tells a new model the token types of the special tokens before and after a text.
    speed_up: replaces the computation of a loaded model by a faster one with the same results. needs_autograph: the
    class has branches on tensors, so it cannot be traced without AutoGraph, which doubles the time of tracing. renamed:
    parts of the names of weights that are different in PyTorch, by their names in TensorFlow. pytorch_shape: gives a
    weight, by its name in PyTorch, the shape that it has there.
    """

    own_class: type[keras.Model] | None = None
    correct: Correction | None = None
    read_token_types: Callable[[keras.Model, tuple[list[int], list[int]]], None] | None = None
    speed_up: Callable[[keras.Model], None] | None = None
    needs_autograph: bool = True
    renamed: Mapping[str, str] = field(default_factory=dict)
    pytorch_shape: Callable[[str, np.ndarray], np.ndarray] | None = None


# Types that are not listed here need nothing special.
_ARCHITECTURES: Mapping[str, Architecture] = {
    "albert": Architecture(speed_up=use_packing_of_albert, needs_autograph=False),
    "bert": Architecture(speed_up=use_packing_of_bert, needs_autograph=False),
    "camembert": Architecture(correct=start_after_padding, speed_up=use_packing_of_bert, needs_autograph=False),
    "convbert": Architecture(correct=hide_padding, pytorch_shape=pytorch_shape),
    "deberta-v2": Architecture(
        speed_up=use_skewing,
        needs_autograph=False,
        renamed={".pos_proj.": ".pos_key_proj.", ".pos_q_proj.": ".pos_query_proj."},
    ),
    "distilbert": Architecture(speed_up=use_packing_of_distilbert, needs_autograph=False),
    "electra": Architecture(speed_up=use_packing_of_bert, needs_autograph=False),
    "esm": Architecture(correct=correct_esm),
    "flaubert": Architecture(correct=correct_xlm),
    "funnel": Architecture(correct=correct_funnel),
    "layoutlm": Architecture(speed_up=use_packing_of_bert),
    "layoutlmv3": Architecture(correct=correct_layoutlmv3),
    "longformer": Architecture(correct=start_after_padding),
    "mobilebert": Architecture(correct=correct_mobilebert),
    "modernbert": Architecture(own_class=TFModernBertForTokenClassification, needs_autograph=False),
    "mpnet": Architecture(correct=correct_mpnet, speed_up=use_packing_of_mpnet, needs_autograph=False),
    "roberta": Architecture(correct=start_after_padding, speed_up=use_packing_of_bert, needs_autograph=False),
    "roberta-prelayernorm": Architecture(correct=start_after_padding),
    "roformer": Architecture(correct=fix_positions),
    "xlm": Architecture(correct=correct_xlm),
    "xlm-roberta": Architecture(correct=start_after_padding, speed_up=use_packing_of_bert, needs_autograph=False),
    "xlnet": Architecture(read_token_types=correct_xlnet),
}


def architecture_of(model: keras.Model) -> Architecture:
    """The row of a model's type."""
    return _ARCHITECTURES.get(model.config.model_type, Architecture())


def own_class(model_type: str) -> type[keras.Model] | None:
    """The class of this project for a type that transformers has no TensorFlow class for; None for other types."""
    return _ARCHITECTURES.get(model_type, Architecture()).own_class


def correct(model: keras.Model, folder: Path) -> None:
    """Correct a model whose weights are not created yet. folder: that of its configuration and tokenizer."""
    architecture = architecture_of(model)
    if architecture.correct is not None:
        architecture.correct(model)
    if architecture.read_token_types is not None:
        types = special_types(load_tokenizer(folder)) if has_tokenizer(folder) else ([], [])
        architecture.read_token_types(model, types)


def speed_up(model: keras.Model) -> None:
    """Replace the computation of a loaded model by a faster one with the same results, if there is one."""
    if (replace := architecture_of(model).speed_up) is not None:
        replace(model)


def pytorch_names(model: keras.Model, name: str) -> tuple[str, ...]:
    """The names that a weight may have in PyTorch, the preferred one first.

    name: what `convert_tf_weight_name_to_pt_weight_name` of transformers returns for the weight.
    """
    rename = getattr(model, "tf_to_pt_weight_rename", None)
    names = tuple(rename(name)) if rename else (name,)
    for ours, theirs in architecture_of(model).renamed.items():
        # The TensorFlow name too: earlier versions saved models with it.
        names = tuple(dict.fromkeys([names[0].replace(ours, theirs), *names]))
    return names


def in_pytorch_shape(model: keras.Model, name: str, array: np.ndarray) -> np.ndarray:
    """A weight of `model` with the shape that it has in PyTorch. name: its name there."""
    shape = architecture_of(model).pytorch_shape
    return array if shape is None else shape(name, array)
