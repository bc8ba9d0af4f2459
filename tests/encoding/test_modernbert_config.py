"""Both forms of a ModernBERT configuration are read, and what the model cannot compute is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tf_tokclf.encoding.modernbert_config import modernbert_settings
from tf_tokclf.errors import UserError

PATH = Path("model/config.json")
SIZES = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 4}
FULL, LOCAL = "full_attention", "sliding_attention"


def rotations(full: float, local: float) -> dict[str, dict[str, Any]]:
    return {
        FULL: {"rope_theta": full, "rope_type": "default"},
        LOCAL: {"rope_theta": local, "rope_type": "default"},
    }


@pytest.mark.parametrize(
    ("layers", "every"),
    [
        ([FULL, LOCAL, LOCAL, FULL], 3),
        ([FULL, LOCAL, FULL, LOCAL], 2),
        ([FULL, FULL, FULL, FULL], 1),
        ([FULL, LOCAL, LOCAL, LOCAL], 4),
    ],
)
def test_the_form_of_version_5_says_the_same(layers: list[str], every: int):
    read = modernbert_settings({**SIZES, "layer_types": layers, "rope_parameters": rotations(500.0, 20.0)}, PATH)
    assert read["global_attn_every_n_layers"] == every
    assert (read["global_rope_theta"], read["local_rope_theta"]) == (500.0, 20.0)
    assert not {"layer_types", "rope_parameters"} & set(read)


def test_both_forms_at_once_must_agree():
    both = {**SIZES, "layer_types": [FULL, LOCAL, LOCAL, LOCAL], "global_attn_every_n_layers": 7}
    assert modernbert_settings(both, PATH)["global_attn_every_n_layers"] == 7
    with pytest.raises(UserError, match=r"layer_types is .* but global_attn_every_n_layers is 2\."):
        modernbert_settings({**both, "global_attn_every_n_layers": 2}, PATH)
    with pytest.raises(UserError, match=r"full_attention.rope_theta is 5.0, but global_rope_theta is 6"):
        modernbert_settings({**SIZES, "rope_parameters": rotations(5.0, 5.0), "global_rope_theta": 6.0}, PATH)


def test_a_local_theta_of_null_is_the_global_one():
    """In transformers 4. Version 5 would not read it, so it must not be saved."""
    assert modernbert_settings({**SIZES, "local_rope_theta": None}, PATH)["local_rope_theta"] == 160_000.0
    assert modernbert_settings({**SIZES, "local_rope_theta": None, "global_rope_theta": 9.0}, PATH) == {
        **SIZES,
        "local_rope_theta": 9.0,
        "global_rope_theta": 9.0,
    }


def test_what_is_not_said_has_the_default_of_transformers():
    assert modernbert_settings(SIZES, PATH) == SIZES
    partial = modernbert_settings({**SIZES, "rope_parameters": {FULL: {"rope_type": "default"}}}, PATH)
    assert (partial["global_rope_theta"], partial["local_rope_theta"]) == (160_000.0, 10_000.0)


def test_settings_of_other_tasks_and_of_kernels_are_left_out():
    others = {
        "classifier_pooling": "neither",
        "deterministic_flash_attn": True,
        "reference_compile": True,
        "repad_logits_with_grad": True,
        "sparse_prediction": True,
        "rope_scaling": {"rope_type": "default"},
        "partial_rotary_factor": 1.0,
        "rope_theta": 160_000.0,
    }
    assert modernbert_settings({**SIZES, **others}, PATH) == SIZES


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"layer_types": [LOCAL, LOCAL, LOCAL, FULL]}, "layer_types is .*: only global layers at equal distances"),
        ({"layer_types": [FULL, LOCAL, FULL, FULL]}, "layer_types is .*: only global layers at equal distances"),
        ({"layer_types": [FULL, LOCAL]}, "layer_types is .* which is not a list of 4 types"),
        ({"layer_types": "full_attention"}, "layer_types is .* which is not a list"),
        ({"layer_types": [FULL, LOCAL, "chunked", FULL]}, "layer_types is .* which is not a list"),
        ({"layer_types": [[], {}, 1, None]}, "layer_types is .* which is not a list"),
        ({"rope_parameters": 5}, "rope_parameters is 5: only those of"),
        ({"rope_parameters": {"rope_theta": 5.0}}, "rope_parameters is .*: only those of"),
        ({"rope_parameters": {FULL: [1]}}, "rope_parameters.full_attention is .* which is not a mapping"),
        ({"rope_parameters": {FULL: {"rope_type": "yarn", "factor": 4.0}}}, "only plain rotary embeddings"),
        ({"rope_parameters": {FULL: {"rope_type": []}}}, "only plain rotary embeddings"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_scaling is .*: only plain rotary embeddings"),
        ({"rope_scaling": [4]}, "rope_scaling is .*: only plain rotary embeddings"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5: only rotation of the complete heads"),
        ({"rope_theta": 7.0, "global_rope_theta": 8.0}, "rope_theta is 7.0: global_rope_theta is another number"),
        ({"global_rope_theta": 0}, "global_rope_theta is 0, and must be between 1 and"),
        ({"global_rope_theta": None}, "global_rope_theta is None, which is not a number"),
        ({"local_rope_theta": -10_000.0}, "local_rope_theta is -10000.0, and must be between"),
        ({"local_rope_theta": float("nan")}, "local_rope_theta is nan, which is not a number"),
        ({"local_rope_theta": 1e300}, "local_rope_theta is 1e.300, and must be between"),
        ({"rope_parameters": rotations(0.0, 1.0)}, "global_rope_theta is 0.0, and must be between"),
        ({"attention_dropout": 1.0}, "attention_dropout is 1.0, and must be between 0 and 0.999"),
        ({"mlp_dropout": "0.1"}, "mlp_dropout is 0.1, which is not a number"),
        ({"norm_eps": 0}, "norm_eps is 0, and must be between"),
        ({"norm_eps": True}, "norm_eps is True, which is not a number"),
        ({"initializer_range": -1}, "initializer_range is -1, and must be between"),
        ({"initializer_cutoff_factor": 0}, "initializer_cutoff_factor is 0, and must be between"),
        ({"classifier_activation": True}, "classifier_activation is True, which is not the name of a function"),
        ({"norm_bias": "yes"}, "norm_bias is yes, which is neither true nor false"),
        ({"num_attention_heads": 3}, "hidden_size is 32, which cannot be divided into 3 heads of an even width"),
        ({"num_attention_heads": 32}, "hidden_size is 32, which cannot be divided into 32 heads of an even width"),
        ({"norm_eps": 10**400}, "norm_eps is 1000.*, and must be between"),
        ({"num_hidden_layers": "x", "layer_types": ["full_attention"]}, "num_hidden_layers is x, which is not a whole"),
        ({"head_dim": 16}, "head_dim is 16: only hidden_size / num_attention_heads"),
    ],
)
def test_what_the_model_cannot_compute_is_refused(changes: dict[str, Any], problem: str):
    with pytest.raises(UserError, match=problem):
        modernbert_settings({**SIZES, **changes}, PATH)
