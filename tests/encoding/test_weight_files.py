"""Which files hold the weights of a folder, and their values. The files are described in test_torch_weights.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tf_tokclf.encoding.weight_files import open_weights, shortened, weight_files
from tf_tokclf.errors import UserError

FILES = Path(__file__).parents[1] / "data" / "torch_weights"


def test_numbers_that_are_no_floats_are_refused_when_they_are_read(tmp_path: Path):
    shutil.copyfile(FILES / "zip.bin", tmp_path / "pytorch_model.bin")
    with open_weights(tmp_path) as weights:
        assert weights.shapes["position_ids"] == (1, 7)
        with pytest.raises(UserError, match="position_ids cannot be read: its numbers are int64"):
            weights.array("position_ids")
    shutil.copyfile(FILES / "float8.bin", tmp_path / "pytorch_model.bin")
    with open_weights(tmp_path) as weights, pytest.raises(UserError, match="are float8_e4m3fn"):
        weights.array("scales")


def test_shards_are_one_set_of_weights():
    expected = load_file(FILES / "shards" / "expected.safetensors")
    assert [path.name[-18:] for path in weight_files(FILES / "shards")] == ["00001-of-00002.bin", "00002-of-00002.bin"]
    with open_weights(FILES / "shards") as weights:
        assert weights.path.name == "pytorch_model.bin.index.json"
        assert weights.shapes == {name: values.shape for name, values in expected.items()}
        for name, values in expected.items():
            np.testing.assert_array_equal(weights.array(name), values)


def test_pickles_are_the_last_choice(tmp_path: Path):
    for name in ("model.safetensors", "model.safetensors.index.json", "tf_model.h5"):
        (tmp_path / name).write_text('{"weight_map": {"a": "x.safetensors"}}', encoding="utf-8")
        (tmp_path / "x.safetensors").touch()
    shutil.copyfile(FILES / "zip.bin", tmp_path / "pytorch_model.bin")
    shutil.copytree(FILES / "shards", tmp_path, dirs_exist_ok=True)
    chosen = []
    while found := weight_files(tmp_path):
        chosen.append(found[0].name)
        if len(found) > 1 or "x.saf" in found[0].name:
            index = "pytorch_model.bin" if len(found) > 1 else "model.safetensors"
            (tmp_path / f"{index}.index.json").unlink()
        else:
            found[0].unlink()
    shards = "pytorch_model-00001-of-00002.bin"
    assert chosen == ["model.safetensors", "x.safetensors", "tf_model.h5", "pytorch_model.bin", shards]


def test_names_show_the_layout(tmp_path: Path):
    for name, layout in (("bert.pooler.dense.bias", "pytorch"), ("bert/pooler/dense/bias:0", "keras")):
        save_file({name: np.ones(3, np.float32)}, tmp_path / "model.safetensors")
        with open_weights(tmp_path) as weights:
            assert (weights.layout, weights.n_numbers) == (layout, 3)


def test_long_names_are_shortened_for_messages():
    assert len(shortened("x" * 10**6)) == 100
