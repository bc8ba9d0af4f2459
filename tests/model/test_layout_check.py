"""A saved model with other names or shapes than the PyTorch file of its encoder is noticed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tf_tokclf.model.layout_check import misfits
from tf_tokclf.model.saving import check_saved

REFERENCE_MODELS = Path(__file__).parents[1] / "data" / "reference_models"
Tensors = dict[str, np.ndarray]


def rewritten(folder: Path, name: str, change: Callable[[Tensors], Tensors], metadata: str = "pt") -> Path:
    """A copy of a reference model with other tensors."""
    shutil.copytree(REFERENCE_MODELS / name, folder)
    tensors = change(load_file(folder / "model.safetensors"))
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    save_file(arrays, folder / "model.safetensors", metadata={"format": metadata})
    return folder


def as_encoder(tensors: Tensors) -> Tensors:
    """Without the name of the encoder, and without the head."""
    return {name.partition(".")[2]: array for name, array in tensors.items() if not name.startswith("classifier")}


def with_another_head(tensors: Tensors) -> Tensors:
    return {name: array[:2] if name.startswith("classifier") else array for name, array in tensors.items()}


@pytest.mark.parametrize("change", [dict, as_encoder, with_another_head])
@pytest.mark.parametrize("name", ["convbert", "deberta-v2", "esm", "xlnet"])
def test_models_with_the_names_of_pytorch_fit(tmp_path: Path, name: str, change: Callable[[Tensors], Tensors]):
    assert misfits(REFERENCE_MODELS / name, rewritten(tmp_path / "encoder", name, change)) == []


@pytest.mark.parametrize("change", [dict, as_encoder])
def test_other_shapes_and_names_are_found(tmp_path: Path, change: Callable[[Tensors], Tensors]):
    def squeezed(tensors: Tensors) -> Tensors:
        return {name: array.squeeze() for name, array in tensors.items()}

    def renamed(tensors: Tensors) -> Tensors:
        return {name.replace("query", "search"): array for name, array in tensors.items()}

    encoder = rewritten(tmp_path / "encoder", "convbert", change)
    found = misfits(rewritten(tmp_path / "squeezed", "convbert", squeezed), encoder)
    assert {name.partition("key_conv_attn_layer")[2] for name in found} == {
        ".bias",
        ".depthwise.weight",
        ".pointwise.weight",
    }
    found = misfits(rewritten(tmp_path / "renamed", "convbert", renamed), encoder)
    assert len(found) == 4
    assert all("self.search." in name for name in found)


def test_an_encoder_that_is_gone_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    check_saved(REFERENCE_MODELS / "bert", encoder=tmp_path)
    assert "not compared with the files of the encoder" in caplog.text
