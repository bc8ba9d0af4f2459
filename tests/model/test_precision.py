"""The precision of a model type."""

from __future__ import annotations

import pytest

from tf_tokclf.encoding.model_types import MODEL_TYPES
from tf_tokclf.errors import UserError
from tf_tokclf.model.precision import Precision, choose_precision


@pytest.mark.parametrize("model_type", [name for name, facts in MODEL_TYPES.items() if facts.only_float32])
def test_types_without_mixed_precision_say_so(model_type: str):
    assert choose_precision("auto", model_type=model_type) == Precision("float32", MODEL_TYPES[model_type].only_float32)
    assert choose_precision("float32", model_type=model_type).policy == "float32"
    with pytest.raises(UserError, match=r"mixed_bfloat16 is not possible: .*Choose float32 or auto"):
        choose_precision("mixed_bfloat16", model_type=model_type)


def test_other_types_compute_as_requested():
    assert choose_precision("mixed_bfloat16", model_type="xlnet").policy == "mixed_bfloat16"
