"""Weight files of PyTorch, read without torch, against what torch.load read from the same files.

`scripts/dev/torch_weights` wrote the files and the expected values.
"""

from __future__ import annotations

import shutil
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tf_tokclf.encoding.weight_files import WeightFiles, open_weights
from tf_tokclf.errors import UserError

FILES = Path(__file__).parents[1] / "data" / "torch_weights"
LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."


@contextmanager
def opened(file: Path, folder: Path) -> Iterator[WeightFiles]:
    """The weights in `file` as the only weights of a model folder."""
    shutil.copyfile(file, folder / "pytorch_model.bin")
    with open_weights(folder) as weights:
        yield weights


@pytest.mark.parametrize("name", ["zip", "legacy", "module", "module_legacy", "checkpoint", "float8"])
def test_the_values_are_those_of_torch(name: str, tmp_path: Path):
    expected = load_file(FILES / f"{name}.safetensors")
    assert len(expected) >= 5
    with opened(FILES / f"{name}.bin", tmp_path) as weights:
        assert weights.layout == "pytorch"
        assert set(weights.shapes) - set(expected) <= {"position_ids", "scales"}
        for tensor, values in expected.items():
            assert weights.shapes[tensor] == values.shape
            read = weights.array(tensor)
            assert read.dtype == values.dtype, tensor
            np.testing.assert_array_equal(read, values, err_msg=tensor)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("quantised", "it contains a quantised tensor"),
        ("sparse", "it contains a sparse tensor"),
        ("torchscript", "it is a TorchScript program, not a file of weights"),
        ("protocol_4", "its pickle has protocol 4 instead of 2"),
    ],
)
def test_other_files_of_torch_are_named_with_a_remedy(name: str, problem: str, tmp_path: Path):
    with pytest.raises(UserError) as caught, opened(FILES / f"{name}.bin", tmp_path):
        pass
    assert f"pytorch_model.bin: cannot be used: {problem}" in str(caught.value)
    assert "save_pretrained(Y) writes model.safetensors" in str(caught.value)


def test_numbers_of_a_big_endian_machine(tmp_path: Path):
    """The order of bytes is in the archive. torch.save writes that of its machine."""
    source = zipfile.ZipFile(FILES / "module.bin")
    with zipfile.ZipFile(tmp_path / "big.bin", "w") as target:
        for member in source.infolist():
            data = source.read(member)
            if "/data/" in member.filename:
                data = np.frombuffer(data, "<f4").astype(">f4").tobytes()
            target.writestr(member.filename, b"big" if member.filename.endswith("byteorder") else data)
    expected = load_file(FILES / "module.safetensors")
    with opened(tmp_path / "big.bin", tmp_path) as weights:
        for name, values in expected.items():
            np.testing.assert_array_equal(weights.array(name), values)


def storage(key: bytes, size: int, view: bytes = b"N") -> bytes:
    """Instructions for a storage of floats, in the spelling of Python 2."""
    kind = b"(U\x07storagectorch\nFloatStorage\nU" + bytes([len(key)]) + key
    return kind + b"U\x03cpuK" + bytes([size]) + view + b"tQ"


def tensor(of: bytes, offset: int, shape: bytes, strides: bytes) -> bytes:
    return b"ctorch._utils\n_rebuild_tensor\n(" + of + b"K" + bytes([offset]) + shape + strides + b"tR"


def test_files_of_python_2_with_parts_of_storages(tmp_path: Path):
    """Byte strings, a dict of pairs, and names for parts of storages: torch wrote these in 2017."""
    part = storage(b"7", 6, b"(U\x018K\x02K\x04t")  # 4 numbers from the third on
    pairs = b"(]U\x01aa" + tensor(storage(b"7", 6), 1, b"K\x02K\x02\x86", b"K\x02K\x01\x86") + b"a"
    pairs += b"]U\x01ba" + tensor(part, 1, b"K\x03\x85", b"K\x01\x85") + b"a"
    state = b"\x80\x02ccollections\nOrderedDict\n]" + pairs + b"e\x85R."
    numbers = np.arange(6, dtype="<f4")
    path = tmp_path / "old.bin"
    path.write_bytes(LEGACY_START + state + b"\x80\x02](U\x017e." + struct.pack("<q", 6) + numbers.tobytes())
    with opened(path, tmp_path) as weights:
        np.testing.assert_array_equal(weights.array("a"), [[1, 2], [3, 4]])
        np.testing.assert_array_equal(weights.array("b"), [3, 4, 5])
