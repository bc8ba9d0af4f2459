"""Which encoders are refused, and what the message advises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tf_tokclf.encoding.model_config import check_model_config
from tf_tokclf.errors import UserError

FOR_TENSORFLOW = {"TFAutoModelForTokenClassification": "code.Model"}
FOR_PYTORCH = {"AutoConfig": "code.Config", "AutoModelForTokenClassification": "code.Model"}


def message(folder: Path, *, trust_remote_code: bool = False, **config: object) -> str:
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as refused:
        check_model_config(folder, trust_remote_code=trust_remote_code)
    return str(refused.value)


@pytest.mark.parametrize("trust_remote_code", [False, True])
@pytest.mark.parametrize("code", [{}, {"auto_map": FOR_PYTORCH}])
def test_types_without_a_tensorflow_class(tmp_path: Path, code: dict[str, object], trust_remote_code: bool):
    said = message(tmp_path, model_type="eurobert", **code, trust_remote_code=trust_remote_code)
    assert "there is no TensorFlow token classifier of type eurobert" in said
    assert ("the model's own Python code has none either" in said) == bool(code)
    assert "Choose a BERT" in said
    assert "--trust-remote-code" not in said


def test_code_for_tensorflow_must_be_trusted(tmp_path: Path):
    said = message(tmp_path, model_type="toy", auto_map=FOR_TENSORFLOW)
    assert "runs only with --trust-remote-code" in said
    assert check_model_config(tmp_path, trust_remote_code=True)["model_type"] == "toy"


@pytest.mark.parametrize(
    ("model_type", "setting", "value", "allowed"),
    [
        ("roberta-prelayernorm", "position_embedding_type", "relative_key", "absolute"),
        ("bert", "position_embedding_type", "relative_key_query", "absolute"),
        ("esm", "position_embedding_type", "relative_key", "rotary"),
        ("convbert", "head_ratio", 1, 2),
        ("deberta", "talking_head", True, False),
        ("deberta-v2", "conv_groups", 2, 1),
        ("funnel", "separate_cls", False, True),
        ("xlm", "sinusoidal_embeddings", True, False),
        ("xlnet", "attn_type", "uni", "bi"),
        ("xlnet", "bi_data", True, False),
    ],
)
def test_settings_that_the_class_does_not_compute(
    tmp_path: Path, model_type: str, setting: str, value: object, allowed: object
):
    assert f"{setting} is {value}: " in message(tmp_path, model_type=model_type, **{setting: value})
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type, setting: allowed}))
    assert check_model_config(tmp_path)[setting] == allowed


def test_a_padding_token_must_be_in_the_vocabulary(tmp_path: Path):
    said = message(tmp_path, model_type="bert", vocab_size=30, pad_token_id=30)
    assert "pad_token_id is 30, but the vocabulary has 30 tokens." in said
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 30, "pad_token_id": 29}))
    assert check_model_config(tmp_path)["pad_token_id"] == 29


def test_sizes_are_whole_numbers_however_they_are_written(tmp_path: Path):
    content = {
        "model_type": "roberta",
        "max_position_embeddings": 130.0,
        "num_hidden_layers": None,
        "pad_token_id": None,
    }
    (tmp_path / "config.json").write_text(json.dumps(content))
    found = check_model_config(tmp_path)
    assert found == {"max_position_embeddings": 130, "pad_token_id": None}
    assert isinstance(found["max_position_embeddings"], int)
    assert "describes 4,000,000 positions" in message(
        tmp_path, model_type="roformer", max_position_embeddings=4e6, embedding_size=4e6
    )


@pytest.mark.parametrize("number", [10**400, -(10**400)])
def test_a_number_of_many_digits_is_out_of_range(tmp_path: Path, number: int):
    assert "hidden_size is" in message(tmp_path, model_type="bert", hidden_size=number)


def test_a_long_class_name_takes_no_time(tmp_path: Path):
    """A pattern whose search time is quadratic in the length of the name would take hours here."""
    assert "has no model_type" in message(tmp_path, architectures=["ForA" * 1_000_000 + "!"])
