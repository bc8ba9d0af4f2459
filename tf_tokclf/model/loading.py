"""Classifiers from model folders: a new head on an encoder, or a classifier as it was saved."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.data.model_folders import model_config
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.model.backend import VERBOSE, keras, quiet_stderr, transformers
from tf_tokclf.model.fast_gelu import use_fast_gelu
from tf_tokclf.model.packing import use_packing
from tf_tokclf.model.precision import Precision, float32_head, precision_policy
from tf_tokclf.model.short_graphs import use_short_graphs

log = logging.getLogger(__name__)

# What encoders and classifiers may lack without harm: a pooler is no part of token classification.
HARMLESS_MISSING = re.compile(r"(^|[./])(classifier|pooler|position_ids)([./]|$)")


def new_classifier(
    folder: Path, names: Sequence[str], *, precision: Precision, trust_remote_code: bool = False
) -> keras.Model:
    """The encoder in `folder` under a head for the labels `names`.

    Where the folder already holds a token classifier, the rows of its head go over by label name, whatever their order.
    The head's new rows come from Keras' random state: seed it first.
    """
    config = _auto_config(folder, trust_remote_code)
    labels = {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {n: i for i, n in enumerate(names)},
    }
    is_classifier = any(name.endswith("ForTokenClassification") for name in config.architectures or [])
    with precision_policy(precision.policy):
        if not is_classifier:
            model = _from_pretrained(folder, trust_remote_code, **labels)
            _draw_head(model)
        else:
            model = _with_mapped_head(folder, config, labels, trust_remote_code)
    return _made_ready(model, names)


def load_classifier(folder: Path, *, precision: Precision, trust_remote_code: bool = False) -> keras.Model:
    """The token classifier in `folder` with its own labels. Raises UserError when it holds no such model."""
    config = _auto_config(folder, trust_remote_code)
    if not any(name.endswith("ForTokenClassification") for name in config.architectures or []):
        raise UserError(
            f"{folder} holds {', '.join(config.architectures or ['no architecture'])}, no token classifier.",
            hint="Train one first: tf-tokclf fit.",
        )
    with precision_policy(precision.policy):
        model = _from_pretrained(folder, trust_remote_code)
    return _made_ready(model, list(config.id2label.values()))


def saved_labels(folder: Path) -> list[str]:
    """The label names of the classifier in `folder`, in the order of its head. Raises UserError when ids have gaps."""
    id2label = model_config(folder).get("id2label") or {}
    path = folder / "config.json"
    if not isinstance(id2label, dict) or not all(isinstance(name, str) and name for name in id2label.values()):
        raise UserError("id2label does not give names to ids.", path=path, hint="Mend it.")
    names = [id2label[str(i)] for i in range(len(id2label)) if str(i) in id2label]
    if not names or len(names) != len(id2label):
        raise UserError("id2label does not number its labels from 0 on.", path=path, hint="Mend it.")
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UserError(f"id2label has {', '.join(twice[:5])} twice.", path=path, hint="Each id needs its own.")
    return names


def _made_ready(model: keras.Model, names: Sequence[str]) -> keras.Model:
    check_head(model, names)
    float32_head(model)
    use_fast_gelu(model)
    use_short_graphs(model)
    use_packing(model)
    return model


def check_head(model: keras.Model, names: Sequence[str]) -> None:
    """Raise UserError unless the head gives one logit per label."""
    width = int(model.classifier.kernel.shape[-1])
    if width != len(names):
        raise UserError(
            f"the head gives {width} logits for {len(names)} labels.", hint="The model's config.json is not its own."
        )


def _auto_config(folder: Path, trust_remote_code: bool) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # transformers checks little: what is wrong fails anywhere
        problem = f"the model's configuration cannot be used: {first_line(error)}."
        raise UserError(problem, path=folder / "config.json", hint="Fetch or save the model again.") from error


def _from_pretrained(folder: Path, trust_remote_code: bool, **options: Any) -> keras.Model:
    try:
        with quiet_stderr(quiet=not VERBOSE):
            model, info = transformers.TFAutoModelForTokenClassification.from_pretrained(
                folder, trust_remote_code=trust_remote_code, output_loading_info=True, **options
            )
    except Exception as error:  # of transformers, TensorFlow, safetensors and h5py, whatever they like
        raise _cannot_load(folder, error) from error
    _check_missing(folder, info["missing_keys"], model)
    return model


def _cannot_load(folder: Path, error: Exception) -> UserError:
    if "Unrecognized configuration class" in str(error):
        kind = model_config(folder).get("model_type", "this kind")
        return UserError(
            f"{folder}: transformers has no TensorFlow token classifier of type {kind}.",
            hint="Choose a BERT, DistilBERT, RoBERTa, XLM-R, ELECTRA, ALBERT, DeBERTa, MPNet, CamemBERT ... encoder.",
        )
    # safetensors' own class, which no public name leads to
    if type(error).__name__ == "SafetensorError":
        return UserError(f"the weights are damaged: {error}.", path=folder, hint="Fetch or save them again.")
    hint = "config.json and weights have to belong together: fetch or save the model again."
    return UserError(f"the model cannot be loaded: {first_line(error)}.", path=folder, hint=hint)


def _check_missing(folder: Path, missing: Sequence[str], model: keras.Model) -> None:
    lacking = [name for name in missing if not HARMLESS_MISSING.search(name)]
    if not lacking:
        return
    n_weights = len(model.weights)
    if len(lacking) > n_weights // 2:
        raise UserError(
            f"{folder}: {len(lacking)} of the model's {n_weights} weights are not in its file, such as {lacking[0]}.",
            hint="config.json and weights do not belong together.",
        )
    log.warning(
        "%s: %d weights are not in its file and start at random: %s", folder, len(lacking), ", ".join(lacking[:3])
    )


def _with_mapped_head(folder: Path, config: Any, labels: dict[str, Any], trust_remote_code: bool) -> keras.Model:
    old = _from_pretrained(folder, trust_remote_code)
    old_ids = {name: i for i, name in config.id2label.items()}
    names = list(labels["id2label"].values())
    if [config.id2label.get(i) for i in range(len(config.id2label))] == names:
        return old
    for key, value in labels.items():
        setattr(config, key, value)
    new = type(old)(config)
    new.build_in_name_scope()
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
    log.info("head: %d of %d labels go on from the model's own, by name", len(kept), len(names))
    return new


def _draw_head(model: keras.Model) -> None:
    """Draw the head's kernel as transformers does for PyTorch, from a normal distribution.

    Its TensorFlow classes cut that off at two deviations, which leaves 0.88 of the spread and learns more slowly.
    """
    kernel = model.classifier.kernel
    deviation = getattr(model.config, "initializer_range", 0.02)
    kernel.assign(keras.initializers.RandomNormal(stddev=deviation)(kernel.shape, kernel.dtype))


def _plain_name(weight: Any) -> str:
    """A weight's name without its model's own, which Keras numbers."""
    return re.sub(r"^[^/]+/", "", weight.name)


def n_parameters(model: keras.Model) -> int:
    """How many numbers training changes."""
    return int(sum(np.prod(weight.shape) for weight in model.trainable_weights))
