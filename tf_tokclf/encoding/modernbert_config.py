"""Read both forms of a ModernBERT configuration, and check it.

transformers 4 describes the layers with `global_attn_every_n_layers`, `global_rope_theta` and `local_rope_theta`,
transformers 5 with `layer_types` and `rope_parameters`. Version 5 also reads the form of version 4, so models are saved
in that form, which all versions read the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.encoding.hints import AGAIN, OTHER_ENCODER
from tf_tokclf.errors import UserError

GLOBAL, LOCAL = "full_attention", "sliding_attention"
GLOBAL_EVERY = "global_attn_every_n_layers"
# The defaults of all versions of transformers.
DEFAULTS = {
    "num_hidden_layers": 22,
    "hidden_size": 768,
    "num_attention_heads": 12,
    GLOBAL_EVERY: 3,
    "global_rope_theta": 160_000.0,
    "local_rope_theta": 10_000.0,
}
# The name of each theta in the two forms.
THETAS = {GLOBAL: "global_rope_theta", LOCAL: "local_rope_theta"}
# Settings of other tasks, and of the programs that compute the model in PyTorch.
WITHOUT_EFFECT = frozenset(
    [
        "classifier_pooling",
        "decoder_bias",
        "deterministic_flash_attn",
        "reference_compile",
        "repad_logits_with_grad",
        "sparse_pred_ignore_index",
        "sparse_prediction",
        "tie_word_embeddings",
    ]
)
DROPOUTS = ("attention_dropout", "classifier_dropout", "embedding_dropout", "mlp_dropout")
BIASES = ("attention_bias", "classifier_bias", "mlp_bias", "norm_bias")
LARGEST_THETA = 1e12
LARGEST_DEVIATION = 10.0


def modernbert_settings(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The settings of `config` in the form of transformers 4, without those that have no effect here.

    Raises UserError for layers or rotations that this form cannot express, and for numbers that are out of range.
    """
    settings = {name: value for name, value in config.items() if name not in WITHOUT_EFFECT}
    _check_rotation(settings, path)
    layers, rotations = settings.pop("layer_types", None), settings.pop("rope_parameters", None)
    if layers is not None:
        settings[GLOBAL_EVERY] = _global_every(layers, settings, path)
    if rotations is not None:
        settings |= _thetas(rotations, settings, path)
    if settings.get("local_rope_theta", 0) is None:
        settings["local_rope_theta"] = settings.get("global_rope_theta", DEFAULTS["global_rope_theta"])
    _check_numbers(settings, path)
    _check_heads(settings, path)
    return settings


def _check_rotation(settings: dict[str, Any], path: Path) -> None:
    """Take out settings of rotations that change nothing, and refuse others."""
    scaling = settings.pop("rope_scaling", None)
    if isinstance(scaling, dict):
        scaling = {name: value for name, value in scaling.items() if (name, value) not in _PLAIN_ROTATION}
    if scaling:
        raise _refused("rope_scaling", scaling, "only plain rotary embeddings are supported", path)
    share = settings.pop("partial_rotary_factor", None)
    if share not in (None, 1):
        raise _refused("partial_rotary_factor", share, "only rotation of the complete heads is supported", path)
    theta = settings.pop("rope_theta", None)
    if theta not in (None, settings.get("global_rope_theta", theta)):
        raise _refused("rope_theta", theta, "global_rope_theta is another number", path)


_PLAIN_ROTATION = (("rope_type", "default"), ("type", "default"))


def _global_every(layers: Any, settings: Mapping[str, Any], path: Path) -> int:
    """The n for which every n-th layer, from the first, is global."""
    if not isinstance(layers, list) or not layers or not all(kind in (GLOBAL, LOCAL) for kind in layers):
        raise _wrong("layer_types", layers, f"which is not a list of {GLOBAL} and {LOCAL}", path)
    n_layers = settings.get("num_hidden_layers", DEFAULTS["num_hidden_layers"])
    if not isinstance(n_layers, int) or isinstance(n_layers, bool):
        raise _wrong("num_hidden_layers", n_layers, "which is not a whole number", path)
    if len(layers) != n_layers:
        raise _wrong("layer_types", layers, f"which is not a list of {counted(n_layers, 'type')}", path)
    given = settings.get(GLOBAL_EVERY)
    rest = layers[1:]
    found = rest.index(GLOBAL) + 1 if GLOBAL in rest else max(len(layers), 2)
    if _fits(layers, given):
        return int(given)  # type: ignore[arg-type]
    if given is not None and GLOBAL_EVERY in settings:
        raise _wrong("layer_types", layers, f"but {GLOBAL_EVERY} is {str(given)[:60]}", path)
    if not _fits(layers, found):
        reason = "only global layers at equal distances from the first on are supported"
        raise _refused("layer_types", layers, reason, path)
    return found


def _fits(layers: list[str], every: Any) -> bool:
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        return False
    return all((kind == GLOBAL) == (number % every == 0) for number, kind in enumerate(layers))


def _thetas(rotations: Any, settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The thetas in `rope_parameters`, by their names in the form of transformers 4."""
    if not isinstance(rotations, dict) or not set(rotations) <= set(THETAS):
        raise _refused("rope_parameters", rotations, f"only those of {GLOBAL} and {LOCAL} are supported", path)
    found = {}
    for kind, name in THETAS.items():
        given = rotations.get(kind) or {}
        if not isinstance(given, dict):
            raise _wrong(f"rope_parameters.{kind}", given, "which is not a mapping", path)
        others = {key: value for key, value in given.items() if key != "rope_theta"}
        if any((key, value) not in _PLAIN_ROTATION and (key, value) != _WHOLE for key, value in others.items()):
            raise _refused(f"rope_parameters.{kind}", others, "only plain rotary embeddings are supported", path)
        theta = given.get("rope_theta", settings.get(name, DEFAULTS[name]))
        if name in settings and settings[name] not in (None, theta):
            raise _wrong(f"rope_parameters.{kind}.rope_theta", theta, f"but {name} is {str(settings[name])[:60]}", path)
        found[name] = theta
    return found


_WHOLE = ("partial_rotary_factor", 1.0)


def _check_numbers(settings: Mapping[str, Any], path: Path) -> None:
    for name in THETAS.values():
        _check_number(settings, name, 1, LARGEST_THETA, path)
    for name in DROPOUTS:
        _check_number(settings, name, 0, 0.999, path)
    _check_number(settings, "norm_eps", 1e-12, 1, path)
    _check_number(settings, "initializer_range", 0, LARGEST_DEVIATION, path)
    if settings.get("initializer_cutoff_factor") is not None:
        _check_number(settings, "initializer_cutoff_factor", 0.1, 100, path)
    if not isinstance(settings.get("classifier_activation", ""), str):
        # In MobileBERT, this is a switch.
        problem = "which is not the name of a function"
        raise _wrong("classifier_activation", settings["classifier_activation"], problem, path)
    for name in BIASES:
        if not isinstance(settings.get(name, False), bool):
            raise _wrong(name, settings[name], "which is neither true nor false", path)


def _check_number(settings: Mapping[str, Any], name: str, least: float, most: float, path: Path) -> None:
    if name not in settings:
        return
    value = settings[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not math.isfinite(value)):
        raise _wrong(name, value, "which is not a number", path)
    if not least <= value <= most:
        raise _wrong(name, value, f"and must be between {least:,} and {most:,}", path)


def _check_heads(settings: Mapping[str, Any], path: Path) -> None:
    """The rotation needs an even width of each head."""
    width, n_heads = (settings.get(name, DEFAULTS[name]) for name in ("hidden_size", "num_attention_heads"))
    if not all(isinstance(value, int) and value > 0 for value in (width, n_heads)):
        return  # the checks of all model types report these
    if width % (2 * n_heads):
        raise _wrong("hidden_size", width, f"which cannot be divided into {n_heads:,} heads of an even width", path)
    if settings.get("head_dim", width // n_heads) not in (None, width // n_heads):
        raise _refused("head_dim", settings["head_dim"], "only hidden_size / num_attention_heads is supported", path)


def _wrong(name: str, value: Any, problem: str, path: Path) -> UserError:
    return UserError(f"{name} is {str(value)[:60]}, {problem}.", path=path, hint=AGAIN)


def _refused(name: str, value: Any, reason: str, path: Path) -> UserError:
    return UserError(f"{name} is {str(value)[:60]}: {reason}.", path=path, hint=OTHER_ENCODER)
