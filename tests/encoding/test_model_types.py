"""The table of model types, compared with the source of transformers' PyTorch classes."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import transformers

from tests.reference_models import CASES, FOLDER
from tf_tokclf.encoding.model_types import MODEL_TYPES, ModelType, facts_of, first_position

# PyTorch's classes accept token types, and add the embeddings of the subword tokens with these ids.
READ_AS_TOKENS = {"flaubert", "xlm"}


def arguments_of_pytorch(model_type: str) -> set[str]:
    """The arguments of the PyTorch token classifier. Its module cannot be imported without torch."""
    name = model_type.replace("-", "_")
    module = Path(transformers.__file__).parent / "models" / name / f"modeling_{name}.py"
    classes = [node for node in ast.parse(module.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    [kind] = [
        node
        for node in classes
        if node.name.endswith("ForTokenClassification") and not node.name.startswith(("TF", "Flax"))
    ]
    [forward] = [node for node in kind.body if isinstance(node, ast.FunctionDef) and node.name == "forward"]
    return {argument.arg for argument in forward.args.args}


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_token_types_are_passed_to_the_models_that_take_them(model_type: str):
    takes = "token_type_ids" in arguments_of_pytorch(model_type) and model_type not in READ_AS_TOKENS
    assert MODEL_TYPES[model_type].takes_token_types == takes


@pytest.mark.parametrize("name", CASES)
def test_no_reference_model_is_refused_by_a_switch(name: str):
    config = json.loads((FOLDER / name / "config.json").read_text(encoding="utf-8"))
    for setting, switch in MODEL_TYPES[config["model_type"]].switches.items():
        assert config.get(setting) in switch.allowed


@pytest.mark.parametrize("model_type", [None, 3, ["bert"], "gpt2"])
def test_other_types_have_the_defaults(model_type: object):
    assert facts_of(model_type) == ModelType()


def test_a_padding_token_that_is_null_counts_as_the_default():
    assert first_position({"model_type": "roberta", "pad_token_id": None}) == 2
    assert first_position({"model_type": "bert", "pad_token_id": 3}) == 0
