"""Load classifiers from model folders: an encoder with a new head, or a saved classifier."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.encoding.hints import AGAIN, TOGETHER
from tf_tokclf.encoding.model_config import (
    architectures,
    check_is_classifier,
    check_model_config,
    check_range,
    has_code,
    is_classifier,
    model_config,
    saved_labels,
)
from tf_tokclf.encoding.model_types import MODEL_TYPES
from tf_tokclf.encoding.weight_files import open_weights
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.model.architectures.registry import correct, own_class, speed_up
from tf_tokclf.model.backend import VERBOSE, keras, quiet_stderr, transformers
from tf_tokclf.model.compact_layers import use_short_graphs
from tf_tokclf.model.fast_gelu import use_fast_gelu
from tf_tokclf.model.precision import Precision, float32_head, precision_policy
from tf_tokclf.model.weights import IRRELEVANT, Unmatched, limited_weights, postponed_draws, put_weights

log = logging.getLogger(__name__)

OR_ALLOW = f"{TOGETHER} To train from these weights anyway, pass --allow-incomplete-weights."


def new_classifier(
    folder: Path,
    names: Sequence[str],
    *,
    precision: Precision,
    trust_remote_code: bool = False,
    allow_incomplete_weights: bool = False,
) -> keras.Model:
    """The encoder in `folder` with a head for the labels `names`.

    If the folder contains a token classifier, the rows of its head are reused by label name. New rows are drawn from
    Keras' random state, so seed it first.

    Raises UserError if weights of the encoder are missing in the file, or if the model does not use tensors of the
    file. With `allow_incomplete_weights` this is a warning, and missing weights are initialised randomly.
    """
    with precision_policy(precision.policy):
        if is_classifier(folder):
            model = _with_mapped_head(folder, names, trust_remote_code, allow_incomplete_weights)
        else:
            model, unmatched = _loaded(folder, names, trust_remote_code, head=False)
            _check_complete(folder, unmatched, allow=allow_incomplete_weights, hint=OR_ALLOW)
            _draw_head(model)
    return _made_ready(model, names)


def load_classifier(folder: Path, *, precision: Precision, trust_remote_code: bool = False) -> keras.Model:
    """The token classifier in `folder` with its own labels.

    Raises UserError if the folder has no such model, if a weight is missing in the file, or if a tensor is not used.
    """
    check_is_classifier(folder)
    names = saved_labels(folder)
    with precision_policy(precision.policy):
        model, unmatched = _loaded(folder, names, trust_remote_code, head=True)
    _check_complete(folder, unmatched, allow=False, hint=TOGETHER)
    return _made_ready(model, names)


def _made_ready(model: keras.Model, names: Sequence[str]) -> keras.Model:
    check_head(model, names)
    float32_head(model)
    use_fast_gelu(model)
    use_short_graphs(model)
    speed_up(model)
    return model


def check_head(model: keras.Model, names: Sequence[str]) -> None:
    """Raise UserError unless the head returns one logit per label."""
    width = int(model.classifier.kernel.shape[-1])
    if width != len(names):
        raise UserError(
            f"the head returns {counted(width, 'logit')} for {counted(len(names), 'label')}.",
            hint=TOGETHER,
        )


def _loaded(
    folder: Path, names: Sequence[str], trust_remote_code: bool, *, head: bool
) -> tuple[keras.Model, Unmatched]:
    """The model that config.json describes, with the weights of its file, and the weights that do not match."""
    try:
        with quiet_stderr(quiet=not VERBOSE):
            if trust_remote_code and has_code(model_config(folder)):
                return _loaded_by_its_code(folder, names, trust_remote_code=trust_remote_code)
            config = _configuration(folder, names, trust_remote_code=trust_remote_code)
            with open_weights(folder) as files:
                with limited_weights(files, n_labels=len(names)), postponed_draws() as draws:
                    model = _token_classifier(config, folder)
                return model, put_weights(model, files, head=head, draws=draws)
    except UserError:
        raise
    except Exception as error:  # transformers, TensorFlow and Keras check little in advance
        problem = f"the model cannot be loaded: {first_line(error)}."
        raise UserError(problem, path=folder, hint=TOGETHER) from error


def _token_classifier(config: Any, folder: Path) -> keras.Model:
    """A model of a built-in type with initial weights. folder: that of its tokenizer."""
    kind: Any = own_class(config.model_type)
    kind = kind or transformers.TF_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING[type(config)]
    model = kind(config)
    correct(model, folder)
    model.build_in_name_scope()
    return model


def _configuration(folder: Path, names: Sequence[str], *, trust_remote_code: bool) -> Any:
    """The configuration of a built-in model type, from checked values only.

    Only settings that the model type has are kept, because a trained model is saved, and may be published, with this
    configuration.
    """
    values = check_model_config(folder, trust_remote_code=trust_remote_code)
    kind = transformers.CONFIG_MAPPING[model_config(folder)["model_type"]]
    known = settings_of_type(model_config(folder)["model_type"])
    kept = {name: value for name, value in values.items() if name in known}
    for name, value in kept.items():
        check_range(name, value, folder / "config.json")
    try:
        config = kind(**_like_defaults(kept, kind()), **_label_settings(names))
    except Exception as error:  # transformers checks little, so wrong values can raise anything
        problem = f"the model's configuration cannot be used: {first_line(error)}."
        raise UserError(problem, path=folder / "config.json", hint=AGAIN) from error
    config.architectures = architectures(folder)
    return config


def _like_defaults(settings: dict[str, Any], defaults: Any) -> dict[str, Any]:
    """`settings` with whole numbers as int, and without null for numbers and texts.

    JSON has one kind of number, and other programs write null for what is not set. transformers passes both on, and
    TensorFlow fails later. defaults: the configuration of the same type without settings.
    """
    found = {}
    for name, value in settings.items():
        default = getattr(defaults, name, None)
        # Without a padding token, PyTorch trains the row of the embedding that would be its own.
        if value is None and type(default) in (int, float, str) and name != "pad_token_id":
            continue
        is_whole = type(default) is int and isinstance(value, float) and value.is_integer()
        found[name] = int(value) if is_whole else value
    return found


def settings_of_type(model_type: str) -> set[str]:
    """The names of the settings that a built-in model type has."""
    kind = transformers.CONFIG_MAPPING[model_type]
    named = set(inspect.signature(kind.__init__).parameters) - {"self", "kwargs"}
    return named | set(kind.attribute_map) | MODEL_TYPES[model_type].extra_settings


def _label_settings(names: Sequence[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


def _loaded_by_its_code(
    folder: Path, names: Sequence[str], *, trust_remote_code: bool
) -> tuple[keras.Model, Unmatched]:
    """A model whose folder contains its own code, which the user trusts."""
    check_model_config(folder, trust_remote_code=trust_remote_code)
    config = transformers.AutoConfig.from_pretrained(
        folder, trust_remote_code=trust_remote_code, **_label_settings(names)
    )
    model, info = transformers.TFAutoModelForTokenClassification.from_pretrained(
        folder, config=config, trust_remote_code=trust_remote_code, output_loading_info=True
    )
    missing = [name for name in info["missing_keys"] if not IRRELEVANT.search(name)]
    return model, Unmatched(tuple(missing), tuple(info["unexpected_keys"]))


def _check_complete(folder: Path, unmatched: Unmatched, *, allow: bool, hint: str) -> None:
    """Raise UserError unless file and model match; with `allow`, log a warning instead."""
    if not unmatched:
        return
    if not allow:
        raise UserError(f"the weights do not match config.json: {unmatched}.", path=folder, hint=hint)
    log.warning("%s: %s. Missing weights are initialised randomly.", folder, unmatched)


def _with_mapped_head(
    folder: Path, names: Sequence[str], trust_remote_code: bool, allow_incomplete_weights: bool
) -> keras.Model:
    old_names = saved_labels(folder)
    old, unmatched = _loaded(folder, old_names, trust_remote_code, head=True)
    _check_complete(folder, unmatched, allow=allow_incomplete_weights, hint=OR_ALLOW)
    if old_names == list(names):
        return old
    old_ids = {name: i for i, name in enumerate(old_names)}
    config = copy(old.config)
    for key, value in _label_settings(names).items():
        setattr(config, key, value)
    if trust_remote_code and has_code(model_config(folder)):
        new = type(old)(config)
        new.build_in_name_scope()
    else:
        new = _token_classifier(config, folder)
    _draw_head(new)
    by_name = {_plain_name(weight): weight for weight in old.weights}
    head = {id(weight) for weight in new.classifier.weights}
    for weight in new.weights:
        if id(weight) not in head:
            weight.assign(by_name[_plain_name(weight)])
    kept = [(i, old_ids[name]) for i, name in enumerate(names) if name in old_ids]
    for mine, theirs in zip(new.classifier.weights, old.classifier.weights):
        values, source = mine.numpy(), theirs.numpy()
        for i, j in kept:
            values[..., i] = source[..., j]
        mine.assign(values)
    log.info("head: the weights of %d of %s are reused, by name", len(kept), counted(len(names), "label"))
    return new


def _draw_head(model: keras.Model) -> None:
    """Initialise the head's kernel from the distribution of the PyTorch classes of transformers, mostly a normal one.

    The TensorFlow classes truncate the distribution at two standard deviations. This reduces the standard deviation to
    0.88 of the intended value, and the head learns more slowly.
    """
    kernel = model.classifier.kernel
    deviation = getattr(model.config, "initializer_range", 0.02)
    initializer = getattr(model, "head_initializer", None) or keras.initializers.RandomNormal(stddev=deviation)
    kernel.assign(initializer(kernel.shape, kernel.dtype))


def _plain_name(weight: Any) -> str:
    """A weight's name without the name of the model, which Keras numbers."""
    return re.sub(r"^[^/]+/", "", weight.name)


def n_parameters(model: keras.Model) -> int:
    """The number of trainable parameters."""
    return int(sum(np.prod(weight.shape) for weight in model.trainable_weights))
