"""A TF model's weights as `model.safetensors` in PyTorch's layout, written without torch.

That one file is read by the TF classes here and by the PyTorch classes of transformers 4 and 5; transformers' own
default for TF models, `tf_model.h5`, is read by neither of the latter. Names and transpositions are transformers' own
(`modeling_tf_pytorch_utils`), used in the direction it only offers with torch installed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from transformers.modeling_tf_pytorch_utils import apply_transpose, convert_tf_weight_name_to_pt_weight_name

from tf_tokclf.errors import JobError
from tf_tokclf.files import whole_path
from tf_tokclf.model.backend import keras


def portable_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a transformers TF model by PyTorch name, in PyTorch's layout."""
    rename = getattr(model, "tf_to_pt_weight_rename", lambda name: (name,))
    arrays: dict[str, np.ndarray] = {}
    weights = model.trainable_weights + model.non_trainable_weights
    for weight in weights:
        name, transpose = convert_tf_weight_name_to_pt_weight_name(weight.name, tf_weight_shape=weight.shape)
        array = apply_transpose(transpose, weight.numpy(), pt_to_tf=False)
        arrays[rename(name)[0]] = np.ascontiguousarray(array)
    if len(arrays) != len(weights):
        raise JobError(f"{type(model).__name__}: two of its weights have one name in PyTorch; it cannot be saved.")
    return arrays


def save_portable_weights(model: keras.Model, path: Path) -> None:
    """Write `model.safetensors`, whole or not at all."""
    with whole_path(path) as partial:
        # Readers tell the layout by this mark.
        save_file(portable_weights(model), partial, metadata={"format": "pt"})
