"""Names of weights in PyTorch's checkpoints where transformers' TensorFlow classes have other names."""

from __future__ import annotations

from collections.abc import Mapping

from tf_tokclf.model.backend import keras

# Parts of names, in TensorFlow and in PyTorch, by model type.
_RENAMED: Mapping[str, Mapping[str, str]] = {
    "deberta-v2": {".pos_proj.": ".pos_key_proj.", ".pos_q_proj.": ".pos_query_proj."},
}


def pytorch_names(model: keras.Model, name: str) -> tuple[str, ...]:
    """The names that a weight may have in PyTorch, the preferred one first.

    name: what `convert_tf_weight_name_to_pt_weight_name` of transformers returns for the weight.
    """
    rename = getattr(model, "tf_to_pt_weight_rename", None)
    names = tuple(rename(name)) if rename else (name,)
    for ours, theirs in _RENAMED.get(model.config.model_type, {}).items():
        # The TensorFlow name too: earlier versions saved models with it.
        names = tuple(dict.fromkeys([names[0].replace(ours, theirs), *names]))
    return names
