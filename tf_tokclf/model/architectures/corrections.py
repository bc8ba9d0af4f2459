"""What is corrected in the TensorFlow classes of transformers, so that they compute what the PyTorch classes compute.

Each function changes one new model, before its weights are created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tf_tokclf.encoding.tokenizer_files import has_tokenizer
from tf_tokclf.encoding.tokenizers import load_tokenizer, special_types
from tf_tokclf.model.architectures.convbert import hide_padding
from tf_tokclf.model.architectures.esm import correct_esm
from tf_tokclf.model.architectures.funnel import correct_funnel
from tf_tokclf.model.architectures.layoutlmv3 import correct_layoutlmv3
from tf_tokclf.model.architectures.mobilebert import correct_mobilebert
from tf_tokclf.model.architectures.mpnet import leave_out_pooler
from tf_tokclf.model.architectures.roberta import start_after_padding
from tf_tokclf.model.architectures.roformer import fix_positions
from tf_tokclf.model.architectures.xlm import correct_xlm
from tf_tokclf.model.architectures.xlnet import correct_xlnet
from tf_tokclf.model.backend import keras

_CORRECTIONS: Mapping[str, Callable[[keras.Model], None]] = {
    "camembert": start_after_padding,
    "convbert": hide_padding,
    "esm": correct_esm,
    "flaubert": correct_xlm,
    "funnel": correct_funnel,
    "layoutlmv3": correct_layoutlmv3,
    "longformer": start_after_padding,
    "mobilebert": correct_mobilebert,
    "mpnet": leave_out_pooler,
    "roberta": start_after_padding,
    "roberta-prelayernorm": start_after_padding,
    "roformer": fix_positions,
    "xlm": correct_xlm,
    "xlm-roberta": start_after_padding,
}


def correct(model: keras.Model, folder: Path) -> None:
    """Correct a model whose weights are not created yet. folder: that of its configuration and tokenizer."""
    if model.config.model_type == "xlnet":
        correct_xlnet(model, special_types(load_tokenizer(folder)) if has_tokenizer(folder) else ((), ()))
    elif correction := _CORRECTIONS.get(model.config.model_type):
        correction(model)
