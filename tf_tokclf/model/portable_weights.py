"""Save the weights of a TensorFlow model as `model.safetensors` in PyTorch's layout, without torch.

This file can be read by the TensorFlow classes and by the PyTorch classes of transformers 4 and 5. transformers' own
default for TensorFlow models, `tf_model.h5`, cannot be read by the PyTorch classes. Names and transpositions come from
transformers (`modeling_tf_pytorch_utils`), which offers this direction only if torch is installed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from transformers.modeling_tf_pytorch_utils import apply_transpose, convert_tf_weight_name_to_pt_weight_name

from tf_tokclf.errors import JobError
from tf_tokclf.files import whole_path
from tf_tokclf.model.architectures.registry import in_pytorch_shape, pytorch_names
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.crf import crf_of


def portable_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a TensorFlow model by PyTorch name, in PyTorch's layout. Those of a CRF are not among them."""
    crf = crf_of(model)
    separate = {id(weight) for weight in crf.weights} if crf else set()
    weights = [w for w in (*model.trainable_weights, *model.non_trainable_weights) if id(w) not in separate]
    arrays = dict(portable(model, weight, weight.numpy()) for weight in weights)
    if len(arrays) != len(weights):
        raise JobError(f"{type(model).__name__} cannot be saved: two of its weights have the same name in PyTorch.")
    return arrays


def portable(model: keras.Model, weight: tf.Variable, values: np.ndarray) -> tuple[str, np.ndarray]:
    """The PyTorch name of a weight of `model`, and `values`, which have the weight's shape, in PyTorch's layout."""
    name, transpose = convert_tf_weight_name_to_pt_weight_name(weight.name, tf_weight_shape=weight.shape)
    name = pytorch_names(model, name)[0]
    return name, np.ascontiguousarray(in_pytorch_shape(model, name, apply_transpose(transpose, values, pt_to_tf=False)))


def save_portable_weights(model: keras.Model, path: Path) -> None:
    """Write `model.safetensors`, completely or not at all."""
    with whole_path(path) as partial:
        # Readers recognise the layout by this entry.
        save_file(portable_weights(model), partial, metadata={"format": "pt"})
