"""Copy weights from files into a model, and report weights that are missing, unused or of a different shape."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from transformers.modeling_tf_pytorch_utils import apply_transpose, convert_tf_weight_name_to_pt_weight_name

from tf_tokclf.encoding.hints import TOGETHER
from tf_tokclf.encoding.weight_files import WeightFiles, shortened
from tf_tokclf.errors import UserError
from tf_tokclf.model.architectures.registry import pytorch_names
from tf_tokclf.model.backend import keras, tf

# Returns random initial values of a variable.
Draw: TypeAlias = Callable[[], tf.Tensor]

# Tensors that token classification does not use, or that are computed, not learnt.
IRRELEVANT = re.compile(r"(^|[./])(pooler|position_ids|token_type_ids|inv_freq)([./:]|$)")
HEAD = re.compile(r"^classifier([./]|$)")
NAMES_BEFORE_2019 = {"gamma": "weight", "beta": "bias"}
# Parts of encoders that can be outside the prefix of the other parts.
ENCODER_PARTS = ("embeddings", "encoder", "layer", "layers", "transformer", "decoder")
# Number of variables of a model that may be missing in its file: a new head, a pooler, the dropout state of each layer.
SPARE_VARIABLES = 64


@dataclass(frozen=True)
class Unmatched:
    """Differences of file and model. missing: weights that only the model has. unused: tensors only in the file."""

    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unused)

    def __str__(self) -> str:
        said = []
        for names, one, several in (
            (self.missing, "weight of the model is not in its file", "weights of the model are not in its file"),
            (
                self.unused,
                "tensor of the file is not used by the model",
                "tensors of the file are not used by the model",
            ),
        ):
            if len(names) == 1:
                said.append(f"1 {one}: {shortened(names[0])}")
            elif names:
                said.append(f"{len(names)} {several}, such as {shortened(names[0])}")
        return "; ".join(said)


def put_weights(
    model: keras.Model, files: WeightFiles, *, head: bool, draws: Mapping[Any, Draw] = MappingProxyType({})
) -> Unmatched:
    """Copy the weights in `files` to `model`, and return those that do not match.

    head: also use the classification head in the file. Without it, heads of other tasks do not count as unused. draws:
    what `postponed_draws` yielded; it is used for weights that are not copied. Raises UserError for a tensor with a
    different shape.
    """
    by_name = {current_name(name): name for name in files.shapes}
    prefix = model.base_model_prefix
    in_pytorch = files.layout == "pytorch"
    has_prefix = any(name.startswith(prefix + ".") for name in by_name)
    unused, missing = set(by_name), []
    for weight in [*model.trainable_weights, *model.non_trainable_weights]:
        names, transpose = _names_in_file(model, weight, files, strip=in_pytorch and not has_prefix)
        is_own_head = not head and HEAD.search(names[0])
        name = None if is_own_head else next((name for name in names if name in by_name), None)
        if name is None:
            if (draw := draws.get(_plain(weight).ref())) is not None:
                weight.assign(draw())
            if not is_own_head:
                missing.append(names[0])
            continue
        unused.discard(name)
        weight.assign(_fitting(files.array(by_name[name]), transpose, weight, by_name[name], files))
    ignored = [IRRELEVANT, *_patterns(model, "_keys_to_ignore_on_load_unexpected")]
    # Without a head in the file, its other layers are drawn like the classifier.
    drawn = [IRRELEVANT, *([] if head else _patterns(model, "_keys_to_ignore_on_load_missing"))]
    if not head:
        unused -= {name for name in unused if _is_other_head(name, prefix, has_prefix=has_prefix or not in_pytorch)}
    return Unmatched(
        tuple(name for name in missing if not any(pattern.search(name) for pattern in drawn)),
        tuple(sorted(name for name in unused if not any(pattern.search(name) for pattern in ignored))),
    )


def _plain(weight: Any) -> Any:
    """The variable itself. In mixed precision, Keras wraps it."""
    return getattr(weight, "_variable", weight)


def _patterns(model: keras.Model, attribute: str) -> list[re.Pattern[str]]:
    return [re.compile(pattern) for pattern in getattr(model, attribute, None) or ()]


@contextmanager
def limited_weights(files: WeightFiles, *, n_labels: int) -> Iterator[None]:
    """Inside the block, raise UserError if a model that is built needs more weights than `files` can contain.

    The check happens before the memory of a weight is allocated. n_labels: number of labels of a head that may not be
    in the file.
    """
    n_bytes = sum(file.stat().st_size for file in files.files)
    width = max((size for shape in files.shapes.values() for size in shape), default=1)
    # A pooler (width x width) may be added. The head has a row for each label.
    numbers = min(files.n_numbers, n_bytes) + max(files.n_numbers, 1 << 20) + n_labels * (width + 1)
    variables = 2 * len(files.shapes) + SPARE_VARIABLES

    def counted(next_creator: Any, **options: Any) -> Any:
        nonlocal numbers, variables
        shape = options.get("shape")
        if shape is not None:
            numbers -= math.prod(size or 1 for size in tf.TensorShape(shape).as_list())
            variables -= 1
        if numbers < 0 or variables < 0:
            raise UserError("describes more weights than the file contains.", path=files.config, hint=TOGETHER)
        return next_creator(**options)

    with tf.variable_creator_scope(counted):
        yield


@contextmanager
def postponed_draws() -> Iterator[Mapping[Any, Draw]]:
    """Inside the block, new variables are left undefined instead of getting random values.

    Yields the functions that draw these values, by the reference of the variable. Almost all weights are then copied
    from a file, and drawing them took half of the time to build MiniLM-L6. The values, and those of later random
    numbers, are the same as without this block.
    """
    draws: dict[Any, Draw] = {}

    def undefined(next_creator: Any, **options: Any) -> Any:
        draw: Any = options.get("initial_value")
        generator = getattr(getattr(draw, "func", None), "_random_generator", None)
        if generator is None or generator._rng_type != generator.RNG_STATELESS:
            return next_creator(**options)
        generator._maybe_init()  # takes its seed from Keras' random state, as the draw would do now
        shape, dtype = options["shape"], options["dtype"]
        empty = partial(tf.raw_ops.Empty, shape=shape, dtype=dtype, init=False)
        variable = next_creator(**{**options, "initial_value": empty})
        draws[variable.ref()] = draw
        return variable

    with tf.variable_creator_scope(undefined):
        yield draws


def current_name(name: str) -> str:
    """A tensor's name in the spelling that transformers has used since 2019.

    >>> current_name("bert.embeddings.LayerNorm.gamma")
    'bert.embeddings.LayerNorm.weight'
    """
    stem, _, last = name.rpartition(".")
    return f"{stem}.{NAMES_BEFORE_2019[last]}" if last in NAMES_BEFORE_2019 else name


def _names_in_file(model: keras.Model, weight: Any, files: WeightFiles, *, strip: bool) -> tuple[tuple[str, ...], Any]:
    """The possible names of a weight in the file, the preferred one first, and the transposition of its matrix."""
    if files.layout == "keras":
        name = weight.name.split("/", 1)[1]
        # Older files name embeddings "weight".
        return (name, name.removesuffix("embeddings:0") + "weight:0"), None
    name, transpose = convert_tf_weight_name_to_pt_weight_name(
        weight.name,
        start_prefix_to_remove=f"{model.base_model_prefix}." if strip else "",
        tf_weight_shape=weight.shape,
    )
    return pytorch_names(model, name), transpose


def _fitting(array: np.ndarray, transpose: Any, weight: Any, name: str, files: WeightFiles) -> np.ndarray:
    """`array` in the layout of `weight`, transposed if PyTorch stores the matrix transposed."""
    turned = array if transpose is None else apply_transpose(transpose, array)
    shape = tuple(weight.shape)
    # The shapes may differ only in axes of length 1, which occur in convolutions.
    if [size for size in turned.shape if size != 1] != [size for size in shape if size != 1]:
        described = (
            shape if transpose is None else apply_transpose(transpose, np.broadcast_to(0, shape), pt_to_tf=False).shape
        )
        expected = f"config.json describes {_times(described)}"
        problem = f"{shortened(name)} is {_times(array.shape)} in the file, but {expected}."
        raise UserError(problem, path=files.path, hint=TOGETHER)
    return np.asarray(turned.reshape(shape), dtype=weight.dtype.as_numpy_dtype)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _is_other_head(name: str, prefix: str, *, has_prefix: bool) -> bool:
    """Whether a tensor belongs to a head (of pretraining or another task) instead of the encoder."""
    if has_prefix:
        first = re.split(r"[./]", name, maxsplit=1)[0]
        return first not in (prefix, *ENCODER_PARTS)
    return bool(HEAD.search(name))
