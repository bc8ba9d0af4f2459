"""The search for the layers that must stay in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.requirements import need_modules

need_modules("onnx", "onnxruntime", extra="export")

import onnx  # noqa: E402

from tests.publishing.export.graphs import classifier, logits  # noqa: E402
from tf_tokclf.errors import JobError, UserError  # noqa: E402
from tf_tokclf.publishing.export.agreement import LIMITS, Difference, Limits  # noqa: E402
from tf_tokclf.publishing.export.float32_layers import InFloat32, Quantizer  # noqa: E402

RANDOM = np.random.default_rng(5)
IDS = RANDOM.integers(0, 70, (40, 5))
LENGTHS = np.full(40, 5)
POSITIONS = np.argwhere(np.ones((40, 5), bool))


class Original:
    """Has the interface of `agreement.Original`. Tokens whose logits change much count as other labels."""

    has_own_vocabulary = False

    def limits(self, quantize: str) -> Limits:
        return LIMITS[quantize]

    def __init__(self, model: onnx.ModelProto) -> None:
        self.batches = [{"input_ids": IDS, "attention_mask": np.ones_like(IDS)}]
        self.expected = logits(model, IDS).reshape(200, -1)

    def compared(self, forward: Callable[..., Any]) -> tuple[Difference, None]:
        found, _ = forward(IDS, LENGTHS, POSITIONS)
        change = np.abs(found - self.expected).max(axis=-1)
        return Difference(200, int((change > self.expected.std() / 4).sum()), float(change.max()), None), None


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32) / 8


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """The first layer ignores the first column of the embeddings, which is so large that int8 loses all others."""
    words, first = normal(70, 96), normal(96, 96)
    words[:, 0], first[0] = 1000, 0
    return classifier(words, **{"block/first": first, "block/second": normal(96, 96), "last": normal(96, 64)})


def test_only_the_layer_that_cannot_be_quantized_stays_in_float32(model: onnx.ModelProto):
    assert Quantizer(model, "int8", Original(model)).sufficient() == InFloat32(frozenset({"embeddings"}))


def test_a_vocabulary_with_which_float32_fails_too_is_said(model: onnx.ModelProto):
    original = Original(model)
    original.has_own_vocabulary, original.expected = True, -original.expected
    with pytest.raises(JobError, match=r"even in float32 and was not kept\. Pass a file with more texts"):
        Quantizer(model, "int8", original).sufficient()


def test_layers_are_kept_by_name_or_by_the_beginning_of_it(model: onnx.ModelProto):
    original = Original(model)
    assert Quantizer(model, "int8", original, ["last"]).keep == {"last"}
    block = Quantizer(model, "int8", original, ["block/", "last"])
    assert block.in_order(block.keep) == ("block/first", "block/second", "last")
    assert block.keep <= block.sufficient().layers


@pytest.mark.parametrize(
    ("name", "hint"),
    [("blok/first", "Did you mean block/first?"), ("x", "The layers are embeddings, block/first, block/second, last.")],
)
def test_an_unknown_layer_is_refused(model: onnx.ModelProto, name: str, hint: str):
    with pytest.raises(UserError, match=f"has no layer {name}") as refused:
        Quantizer(model, "int8", Original(model), [name])
    assert refused.value.hint == hint
