"""Read config.json of a model folder as plain values, and check it before transformers reads it.

A configuration can make transformers import code (`auto_map`), load other models (nested configurations with
`_name_or_path`) and change what a call returns (`return_dict`). An untrusted configuration must do none of that, so
only the settings that describe the model itself are passed on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.encoding.hints import AGAIN, OTHER_ENCODER, TOGETHER, UNTRUSTED
from tf_tokclf.encoding.model_type import inferred_model_type
from tf_tokclf.encoding.model_types import CAUSAL, MODEL_TYPES, Switch, facts_of
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import read_json

MOST_LABELS = 20_000
# Numbers of layers. Constructors loop over them. The largest published encoders have about 50.
LAYER_COUNTS = frozenset(
    [
        "num_hidden_layers",
        "n_layers",
        "n_layer",
        "num_layers",
        "num_decoder_layers",
        "num_groups",
        "num_hidden_groups",
        "inner_group_num",
        "num_feedforward_networks",
        "block_repeats",
        "block_sizes",
    ]
)
MOST_LAYERS = 256
# Sizes of matrices and windows: at least 1.
SIZES = frozenset(
    [
        "vocab_size",
        "hidden_size",
        "dim",
        "d_model",
        "emb_dim",
        "embedding_size",
        "input_embedding_size",
        "output_embedding_size",
        "intermediate_size",
        "hidden_dim",
        "d_inner",
        "d_head",
        "intra_bottleneck_size",
        "num_attention_heads",
        "n_heads",
        "n_head",
        "max_position_embeddings",
        "conv_kernel_size",
        "head_ratio",
        "attention_window",
        "local_attention",
        "global_attn_every_n_layers",
    ]
)
MOST_OF_A_SIZE = 4_000_000
LARGEST_NUMBER = 2**31
# Limit for positions times the width of the model: RoFormer computes this table in Python, number by number.
# 16,384 x 1,024 is within the limit.
MOST_OF_A_POSITION_TABLE = 20_000_000
# Names of the setting for the width of the embeddings.
WIDTHS = ("embedding_size", "hidden_size", "dim", "emb_dim", "d_model")
# All settings that must be whole numbers, including those from which windows and positions are computed.
WHOLE_NUMBERS = SIZES | LAYER_COUNTS | {"pad_token_id", "n_positions", "type_vocab_size"}
# Endings of the names of settings that are numbers, or null.
FRACTIONS = ("dropout", "dropout_prob", "layer_norm_eps", "initializer_range")
LONGEST_TEXT, LONGEST_LIST = 1_000, 1_000
# Settings that are ignored: this project decides what the model returns, in which data type it computes, and its
# labels.
DECIDED_HERE = frozenset(
    [
        "return_dict",
        "output_attentions",
        "output_hidden_states",
        "use_cache",
        "torchscript",
        "use_bfloat16",
        "torch_dtype",
        "dtype",
        "tf_legacy_loss",
        "name_or_path",
        "attn_implementation",
        "gradient_checkpointing",
        "return_unused_kwargs",
        "chunk_size_feed_forward",
        "id2label",
        "label2id",
        "num_labels",
        "model_type",
        "architectures",
        "transformers_version",
    ]
)
# Settings whose value is the name of a function.
ACTIVATIONS = {
    "activation",
    "activation_function",
    "ff_activation",
    "hidden_act",
    "hidden_activation",
}
# Settings of any type that change what a model computes.
SWITCHES: Mapping[str, Switch] = {
    "is_decoder": Switch((None, False), CAUSAL),
    "is_encoder": Switch((None, True), CAUSAL),
    "causal": Switch((None, False), CAUSAL),
    "add_cross_attention": Switch((None, False), "there is no second text to attend to"),
    "pruned_heads": Switch((None, {}, []), "the TensorFlow classes cannot prune attention heads"),
    "is_folding_model": Switch((None, False), "it predicts protein structures, not labels"),
}
# The key of auto_map that names the model's own class for TensorFlow.
OWN_CLASS = "TFAutoModelForTokenClassification"
ENCODERS = (
    "Choose a BERT, DistilBERT, ModernBERT, RoBERTa, XLM-R, ELECTRA, ALBERT, DeBERTa, MPNet or CamemBERT encoder."
)
LOADS_CODE = ("auto_map", "trust_remote_code")
LOADS_MODELS = ("_name_or_path", "name_or_path", *LOADS_CODE)


def model_config(folder: Path) -> dict[str, Any]:
    """The content of config.json in a model folder, as plain values, with the model type of BERT's first releases."""
    path = folder / "config.json"
    config = read_json(path, hint=AGAIN)
    if not isinstance(config, dict):
        raise UserError("is not a JSON object.", path=path, hint=AGAIN)
    if config.get("model_type") is None and (model_type := inferred_model_type(config, folder)):
        config["model_type"] = model_type
    return {
        name: _whole(value) if name in WHOLE_NUMBERS else value
        for name, value in config.items()
        if _is_set(name, value)
    }


def _is_set(name: str, value: Any) -> bool:
    """Whether a value is given. Other programs write null for sizes that are not. A padding token may be null."""
    return value is not None or name not in WHOLE_NUMBERS or name == "pad_token_id"


def _whole(value: Any) -> Any:
    """Whole numbers as int, also in lists. JSON has one kind of number: some programs write 12.0 for 12."""
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def architectures(folder: Path) -> list[str]:
    """The class names in config.json (`architectures`)."""
    given = model_config(folder).get("architectures")
    return [name for name in given if isinstance(name, str)] if isinstance(given, list) else []


def is_classifier(folder: Path) -> bool:
    """Whether the model is a token classifier according to config.json."""
    return any(name.endswith("ForTokenClassification") for name in architectures(folder))


def check_is_classifier(folder: Path) -> None:
    """Raise UserError if the model is not a token classifier according to config.json."""
    if is_classifier(folder):
        return
    named = ", ".join(name[:100] for name in architectures(folder)[:5])
    raise UserError(
        f"{folder} contains {named or 'no architecture'}, not a token classifier.",
        hint="Train one first: tf-tokclf fit.",
    )


def saved_labels(folder: Path) -> list[str]:
    """The label names of the classifier in `folder`, in the order of its head.

    Raises UserError for an encoder without labels, and for gaps in the ids.
    """
    id2label = model_config(folder).get("id2label") or {}
    if not id2label:
        check_is_classifier(folder)
    path = folder / "config.json"
    if not isinstance(id2label, dict) or not all(isinstance(name, str) and name for name in id2label.values()):
        raise UserError("id2label does not map ids to label names.", path=path, hint="Correct it.")
    names = [id2label[str(i)] for i in range(len(id2label)) if str(i) in id2label]
    if not names or len(names) != len(id2label):
        raise UserError("the ids in id2label are not 0, 1, 2 and so on.", path=path, hint="Correct them.")
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        problem = f"id2label contains {', '.join(twice[:5])} more than once."
        raise UserError(problem, path=path, hint="Give each id a different label.")
    return names


def has_code(config: dict[str, Any]) -> bool:
    """Whether a configuration refers to its own Python code, or has a model type that needs such code."""
    return bool(config.get("auto_map")) or config.get("model_type") not in MODEL_TYPES


def check_model_config(folder: Path, *, trust_remote_code: bool = False) -> dict[str, Any]:
    """Check config.json, and return it without settings that make transformers load or run something else.

    Raises UserError for model types without a TensorFlow class, for references to code or other models, for settings
    with which the model computes something else, and for numbers out of range. With `trust_remote_code`, a
    configuration with its own code is returned unchanged.
    """
    config = model_config(folder)
    path = folder / "config.json"
    if trust_remote_code and has_code(config):
        _check_type(config, path, trust_remote_code=trust_remote_code)
        return config
    _check_type(config, path)
    _check_references(config, path, trust_remote_code=trust_remote_code)
    _check_switches(config, path)
    _check_labels(config, path)
    if (read_settings := facts_of(config["model_type"]).read_settings) is not None:
        config = read_settings(config, path)
    kept = {
        name: value
        for name, value in config.items()
        if name not in DECIDED_HERE and not name.startswith("_") and _is_plain(value)
    }
    for name, value in kept.items():
        _check_numbers(name, value, path)
        if name in ACTIVATIONS and value is not None and not isinstance(value, str):
            # Keras would accept a number as the function itself and fail when it calls it.
            raise _bad_number(name, value, "which is not the name of a function", path)
    _check_products(kept, path)
    _check_padding(kept, path)
    return kept


def _check_type(config: dict[str, Any], path: Path, *, trust_remote_code: bool = False) -> None:
    """Raise UserError unless a TensorFlow class is known, or is in the own code of a model that the user trusts."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        hint = 'Check that this is the folder of an encoder, and add its type, such as "model_type": "bert".'
        raise UserError("has no model_type.", path=path, hint=hint)
    code = config.get("auto_map")
    has_own_class = isinstance(code, dict) and OWN_CLASS in code
    if model_type in MODEL_TYPES or (has_own_class and trust_remote_code):
        return
    problem = f"there is no TensorFlow token classifier of type {model_type[:60]}"
    if has_own_class:
        hint = "The code runs only with --trust-remote-code. Pass it if you trust the author."
        raise UserError(f"{problem}, except in the model's own Python code.", path=path, hint=hint)
    if code:
        problem += f", and the model's own Python code has none either (no {OWN_CLASS}), so it cannot be used"
    raise UserError(f"{problem}.", path=path, hint=ENCODERS)


def _check_references(config: dict[str, Any], path: Path, *, trust_remote_code: bool) -> None:
    hint = f"{UNTRUSTED} If you do, remove the key."
    if "trust_remote_code" in config and not trust_remote_code:
        raise UserError(
            "sets trust_remote_code, which asks transformers to run code from the model folder.",
            path=path,
            hint="Remove the key to use the model without its code. If you trust its author, pass --trust-remote-code.",
        )
    for place, nested in _mappings(config):
        if named := [key for key in LOADS_MODELS if key in nested]:
            raise UserError(f"{place} names another model or code ({named[0]}).", path=path, hint=hint)


def _check_switches(config: dict[str, Any], path: Path) -> None:
    """Raise UserError for settings that change which logits the model computes, such as `is_decoder`.

    Settings that only change the form of the output, or how a model is trained, are not checked here: they are removed
    from the configuration.
    """
    for name, switch in {**SWITCHES, **facts_of(config["model_type"]).switches}.items():
        if (value := config.get(name)) not in switch.allowed:
            problem = f"{name} is {str(value)[:60]}: {switch.reason}."
            raise UserError(problem, path=path, hint=OTHER_ENCODER)


def _mappings(value: Any, place: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every mapping inside `value` (without `value` itself), with the path of keys to it."""
    found = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        here = f"{place}.{key}" if place else str(key)
        if isinstance(inner, dict) and here not in ("id2label", "label2id", "auto_map"):
            found.append((here[:100], inner))
        if isinstance(inner, dict | list) and here != "auto_map":
            found += _mappings(inner, here)
    return found


def _check_labels(config: dict[str, Any], path: Path) -> None:
    for name in ("id2label", "label2id"):
        if isinstance(labels := config.get(name), dict | list) and len(labels) > MOST_LABELS:
            problem = f"{name} has {counted(len(labels), 'label')}, but the limit is {MOST_LABELS:,}."
            raise UserError(problem, path=path, hint=TOGETHER)
    n_labels = config.get("num_labels")
    if isinstance(n_labels, int) and n_labels > MOST_LABELS:
        raise UserError(f"num_labels is {n_labels:,}, but the limit is {MOST_LABELS:,}.", path=path, hint=TOGETHER)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= LONGEST_LIST and all(_is_scalar(item) for item in value)
    return _is_scalar(value)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return value is None or isinstance(value, bool | int | float)


def _check_numbers(name: str, value: Any, path: Path) -> None:
    """Refuse numbers that are out of range for the setting `name`."""
    if isinstance(value, list) and name in ("pad_token_id", "n_positions", "type_vocab_size"):
        raise _bad_number(name, value, "which is not a whole number", path)
    if name.endswith(FRACTIONS) and not isinstance(value, int | float | None):
        raise _bad_number(name, value, "which is not a number", path)
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, bool) or not isinstance(number, int | float):
            if name in WHOLE_NUMBERS and number is not None:
                raise _bad_number(name, value, "which is not a whole number", path)
            continue
        if isinstance(number, float) and not math.isfinite(number):
            raise _bad_number(name, value, "which is not a number", path)
        if name not in WHOLE_NUMBERS:
            continue
        check_range(name, number, path)
        if number != int(number):
            raise _bad_number(name, value, "which is not a whole number", path)
        if name not in SIZES | LAYER_COUNTS:
            continue
        if number < (0 if name == "num_decoder_layers" else 1):
            raise _bad_number(name, value, "and must be at least 1", path)
        if number > (most := MOST_LAYERS if name in LAYER_COUNTS else MOST_OF_A_SIZE):
            raise _bad_number(name, value, f"which is more than {most:,}", path)


def check_range(name: str, value: Any, path: Path) -> None:
    """Raise UserError for a number that is out of range.

    name: a setting of the model type. Other entries of `config.json` may have any value, so they are not checked.
    """
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, int | float) and abs(number) > LARGEST_NUMBER:
            raise _bad_number(name, value, "which is out of range", path)


def _check_products(config: dict[str, Any], path: Path) -> None:
    """Refuse products of settings that need too much memory or time: repeated layers, positions and windows."""
    if (n_layers := _n_layers(config)) > MOST_LAYERS:
        problem = f"describes {counted(n_layers, 'layer')}, including repeated ones, but the limit is {MOST_LAYERS}."
        raise UserError(problem, path=path, hint=AGAIN)
    positions = config.get("max_position_embeddings", 512)
    width = max((config[name] for name in WIDTHS if isinstance(config.get(name), int)), default=1)
    if isinstance(positions, int) and positions * width > MOST_OF_A_POSITION_TABLE:
        asked = f"{counted(positions, 'position')} of {counted(width, 'number')}"
        problem = f"describes {asked}, but the limit is {MOST_OF_A_POSITION_TABLE:,} numbers."
        raise UserError(problem, path=path, hint=AGAIN)
    window = config.get("attention_window", 0)
    for size in window if isinstance(window, list) else [window]:
        # Each batch is padded to a multiple of this size.
        if isinstance(positions, int) and (size or 0) > positions:
            problem = f"which is more than the {counted(positions, 'position')}"
            raise _bad_number("attention_window", window, problem, path)


def _check_padding(config: dict[str, Any], path: Path) -> None:
    """Refuse a padding token without a row in the embedding, as PyTorch does."""
    padding, n_tokens = config.get("pad_token_id"), config.get("vocab_size")
    if isinstance(padding, int) and isinstance(n_tokens, int) and padding >= n_tokens:
        raise _bad_number("pad_token_id", padding, f"but the vocabulary has {counted(n_tokens, 'token')}", path)


def _n_layers(config: dict[str, Any]) -> int:
    """The number of layers that a token passes through. A layer that is used several times counts each time."""
    counts = {name: config.get(name) or 0 for name in LAYER_COUNTS}
    numbers = {name: int(value) for name, value in counts.items() if not isinstance(value, list)}
    layers = max(numbers.get(name, 0) for name in ("num_hidden_layers", "n_layers", "n_layer", "num_layers"))
    repeated = layers * max(numbers.get("inner_group_num", 1), 1) * max(numbers.get("num_feedforward_networks", 1), 1)
    sizes, repeats = counts["block_sizes"], counts["block_repeats"]
    if isinstance(sizes, list):
        times = repeats if isinstance(repeats, list) else [1] * len(sizes)
        blocks = sum(int(size or 0) * int(n or 1) for size, n in zip(sizes, times))
        repeated = max(repeated, blocks + numbers.get("num_decoder_layers", 0))
    return repeated


def _bad_number(name: str, value: Any, problem: str, path: Path) -> UserError:
    return UserError(f"{name} is {str(value)[:60]}, {problem}.", path=path, hint=AGAIN)
