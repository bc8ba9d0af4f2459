"""Write weight files as torch.save does, without torch: for tests that need a whole model, or a hostile file."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

START = b"\x80\x02"
# A magic number, the version of the format, and sizes of C types, each as a pickle.
LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."


def text(value: str) -> bytes:
    """Instructions for a text."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def whole(value: int) -> bytes:
    """Instructions for a whole number of any size."""
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def sizes(values: tuple[int, ...]) -> bytes:
    """Instructions for a shape or for strides."""
    return b"(" + b"".join(map(whole, values)) + b"t"


def storage(key: str, size: int, kind: str = "torch\nFloatStorage") -> bytes:
    """Instructions for a storage in a zip archive."""
    return b"(" + text("storage") + b"c" + kind.encode() + b"\n" + text(key) + text("cpu") + whole(size) + b"tQ"


def tensor(of: bytes, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> bytes:
    """Instructions for a tensor."""
    rest = whole(offset) + sizes(shape) + sizes(strides) + b"\x89ccollections\nOrderedDict\n)Rt"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + of + rest + b"R"


def state_dict(entries: Mapping[str, bytes]) -> bytes:
    """A pickle of a dict. entries: name -> instructions for its value."""
    items = b"".join(text(name) + value for name, value in entries.items())
    return START + b"ccollections\nOrderedDict\n)R(" + items + b"u."


def contiguous(arrays: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, bytes]]:
    """The pickle of a state dict, and the content of its storages by key."""
    entries, content = {}, {}
    for number, (name, array) in enumerate(arrays.items()):
        strides = tuple(step // 4 for step in np.zeros(array.shape, np.float32).strides)
        entries[name] = tensor(storage(str(number), array.size), array.shape, strides)
        content[str(number)] = array.astype("<f4").tobytes()
    return state_dict(entries), content


def write_zip(
    path: Path,
    pickled: bytes,
    storages: Mapping[str, bytes],
    *,
    more: Mapping[str, bytes] = {},
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write an archive as torch does since 1.6. more: other files in it."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        for name, data in more.items():
            archive.writestr(name, data)
    return path
