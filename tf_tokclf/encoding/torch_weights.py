"""Read the weights in `pytorch_model.bin` without PyTorch, one tensor at a time. No code in the file runs.

PyTorch 1.6 and later write a zip archive: `NAME/data.pkl` is a pickle that describes the tensors, and `NAME/data/KEY`
contains the numbers of a storage. Earlier versions wrote four pickles (a magic number, the version of the format, sizes
of C types, and the tensors), the list of keys, and then each storage with its length. The archives are not unpacked,
and nothing in them is compressed.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.encoding.torch_pickle import (
    ITEM_SIZES,
    Storage,
    Tensor,
    Unpickled,
    UnsupportedWeights,
    unpickled,
)

# A state dict of 1,000 tensors has 150 kB of pickle, and as much of zip directory.
LARGEST_PICKLE = 16 << 20
LARGEST_DIRECTORY = 4 << 20
# Reading a tensor reads everything between its first and its last number.
MOST_READ = 16
MAGIC_NUMBER, VERSION = 0x1950A86A20F9469CFC6C, 1001
# The pickle of the magic number.
_LEGACY = b"\x80\x02\x8a\x0a" + MAGIC_NUMBER.to_bytes(10, "little") + b"."
_ZIP = b"PK\x03\x04"
_TAR, _TAR_AT = b"ustar", 257
# Names under which training scripts save the weights beside other values.
_NESTED = ("state_dict", "model_state_dict", "model", "module")
# Models that trained on several GPUs (DataParallel) have this before each name.
_PARALLEL = "module."


@dataclass(frozen=True)
class TorchWeights:
    """The tensors of an open file. places: key of a storage -> position of its first byte in the file."""

    tensors: Mapping[str, Tensor]
    _file: BinaryIO
    _places: Mapping[str, int]
    _big_endian: bool = False

    def get_tensor(self, name: str) -> np.ndarray:
        """The values of a tensor. bfloat16 becomes float32, which contains all of its values."""
        tensor = self.tensors[name]
        if "float" not in tensor.dtype or tensor.dtype.startswith("float8"):
            raise ValueError(f"its numbers are {tensor.dtype}, not 16, 32 or 64-bit floats")
        n_numbers = _reach(tensor)
        item = ITEM_SIZES[tensor.dtype]
        self._file.seek(self._places[tensor.storage.key] + tensor.offset * item)
        data = self._file.read(n_numbers * item)
        order = ">" if self._big_endian else "<"
        if tensor.dtype == "bfloat16":
            halves = np.frombuffer(data, dtype=f"{order}u2").astype(np.uint32)
            numbers = (halves << 16).view(np.float32)
        else:
            numbers = np.frombuffer(data, dtype=f"{order}f{item}")
        if len(numbers) != n_numbers:
            raise ValueError("the file ends too early")
        strides = tuple(stride * numbers.itemsize for stride in tensor.strides)
        return np.lib.stride_tricks.as_strided(numbers, tensor.shape, strides, writeable=False).copy()


def open_torch_weights(path: Path, stack: ExitStack) -> TorchWeights:
    """Open a file that `torch.save` wrote. `stack` closes it.

    Raises ValueError if the file is damaged, UnsafeWeights if it contains more than tensors and plain values, and
    UnsupportedWeights for other files of PyTorch.
    """
    file = stack.enter_context(path.open("rb"))
    start = file.read(_TAR_AT + len(_TAR))
    if start.startswith(_ZIP):
        weights = _from_zip(file)
    elif start.startswith(_LEGACY):
        weights = _from_legacy(file)
    elif start[_TAR_AT:] == _TAR:
        raise UnsupportedWeights("it is a tar archive, which only the first versions of PyTorch wrote")
    else:
        raise ValueError("it was not written by torch.save")
    _check_total(weights.tensors, _length(file))
    return weights


def _check_total(tensors: Mapping[str, Tensor], n_bytes: int) -> None:
    """Raise ValueError for tensors that share their storages so often that reading all of them takes too much."""
    n_numbers = sum(math.prod(tensor.shape) for tensor in tensors.values())
    if n_numbers > n_bytes:
        raise ValueError("its tensors have more numbers than the file has bytes")
    if sum(_reach(tensor) * ITEM_SIZES[tensor.dtype] for tensor in tensors.values()) > MOST_READ * n_bytes:
        raise ValueError(f"its tensors are spread over more than {MOST_READ} times the length of the file")


def _from_zip(file: BinaryIO) -> TorchWeights:
    members = _members(file)
    roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1 or roots[0] in ("", ".", ".."):
        raise ValueError("it is a zip archive without the data.pkl of torch.save")
    (root,) = roots
    if f"{root}/constants.pkl" in members:
        raise UnsupportedWeights("it is a TorchScript program, not a file of weights")
    found = unpickled(_content(file, members[f"{root}/data.pkl"], LARGEST_PICKLE))
    order = _content(file, members[f"{root}/byteorder"], 100) if f"{root}/byteorder" in members else b"little"
    if order not in (b"little", b"big"):
        raise ValueError("its byte order is neither little nor big")
    tensors = _state_dict(found)
    places = {}
    for storage in _storages(tensors).values():
        name = f"{root}/data/{storage.key}"
        if not storage.key.isdecimal() or name not in members:
            raise ValueError("it does not contain the numbers of each tensor")
        place, n_bytes = _place(file, members[name])
        if storage.size * ITEM_SIZES[storage.dtype] > n_bytes:
            raise ValueError("it contains fewer numbers than its tensors need")
        places[storage.key] = place
    return TorchWeights(tensors, file, places, order == b"big")


def _members(file: BinaryIO) -> dict[str, zipfile.ZipInfo]:
    """The files in a zip archive by name. None of them may occur twice."""
    try:
        infos = zipfile.ZipFile(_LimitedFile(file)).infolist()
    except (zipfile.BadZipFile, struct.error, OverflowError, NotImplementedError) as error:
        raise ValueError(f"its zip directory cannot be read ({error})") from error
    members = {info.filename: info for info in infos}
    if len(members) < len(infos):
        raise ValueError("its zip directory contains a name twice")
    return members


class _LimitedFile(io.RawIOBase):
    """A file for `zipfile`, which would read a directory of any size. Does not close the file beneath."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Read from the file. Raises ValueError for more than a directory needs."""
        if size > LARGEST_DIRECTORY:
            raise ValueError(f"its zip directory is larger than {LARGEST_DIRECTORY >> 20} MiB")
        return self._file.read(size if size >= 0 else LARGEST_DIRECTORY)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position in the file."""
        return self._file.tell()

    def seekable(self) -> bool:
        """Whether `seek` works."""
        return True


def _place(file: BinaryIO, member: zipfile.ZipInfo) -> tuple[int, int]:
    """The position of the first byte of a file in the archive, and its length."""
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ValueError("a file in its zip archive is compressed, which torch.save never does")
    length = _length(file)
    file.seek(min(max(member.header_offset, 0), length))
    header = file.read(30)
    if len(header) < 30 or not header.startswith(_ZIP) or header[6] & 1:
        raise ValueError("its zip directory does not agree with its content")
    n_name, n_extra = struct.unpack("<HH", header[26:])
    start = member.header_offset + len(header) + n_name + n_extra
    if start + member.file_size > length:
        raise ValueError("the file ends too early")
    return start, member.file_size


def _content(file: BinaryIO, member: zipfile.ZipInfo, longest: int) -> bytes:
    start, n_bytes = _place(file, member)
    if n_bytes > longest:
        raise ValueError(f"{member.filename.rpartition('/')[2]} has more than {counted(longest, 'byte')}")
    file.seek(start)
    return file.read(n_bytes)


def _from_legacy(file: BinaryIO) -> TorchWeights:
    file.seek(0)
    data = file.read(LARGEST_PICKLE)
    magic = unpickled(data)
    version = unpickled(data, magic.end)
    if version.value != VERSION:
        raise UnsupportedWeights("it has an unknown version of PyTorch's format")
    found = unpickled(data, unpickled(data, version.end).end)
    keys = unpickled(data, found.end)
    if not isinstance(keys.value, list):
        raise ValueError("it has no list of storages")
    places: dict[str, int] = {}
    at, length = keys.end, _length(file)
    for key in keys.value:
        storage = found.storages.get(key) if isinstance(key, str) else None
        if storage is None or key in places:
            raise ValueError("its list of storages does not agree with its tensors")
        file.seek(at)
        if file.read(8) != struct.pack("<q", storage.size):
            raise ValueError("the length of a storage does not agree with its tensors, or the file ends too early")
        places[key] = at + 8
        at += 8 + storage.size * ITEM_SIZES[storage.dtype]
        if at > length:
            raise ValueError("the file ends too early")
    tensors = _state_dict(found)
    if not places.keys() >= _storages(tensors).keys():
        raise ValueError("its list of storages does not agree with its tensors")
    return TorchWeights(tensors, file, places)


def _state_dict(found: Unpickled) -> dict[str, Tensor]:
    """The tensors by name. They can be one level down, beside other values such as the number of the epoch."""
    root = found.value
    levels = [root, *(root.get(name) for name in _NESTED)] if isinstance(root, dict) else []
    for level in levels:
        values = level.items() if isinstance(level, dict) else ()
        tensors = {name: value for name, value in values if isinstance(value, Tensor)}
        if tensors:
            break
    else:
        raise UnsupportedWeights("it contains no tensors with names")
    for tensor in tensors.values():
        _check(tensor)
    if all(name.startswith(_PARALLEL) for name in tensors):
        return {name.removeprefix(_PARALLEL): tensor for name, tensor in tensors.items()}
    return tensors


def _check(tensor: Tensor) -> None:
    """Raise ValueError for a tensor that is larger than its storage, or reaches beyond it."""
    n_bytes = tensor.storage.size * ITEM_SIZES[tensor.storage.dtype]
    most = n_bytes // ITEM_SIZES[tensor.dtype]
    if math.prod(tensor.shape) > most or tensor.offset + _reach(tensor) > most:
        raise ValueError("a tensor is larger than its storage")


def _reach(tensor: Tensor) -> int:
    """How many numbers of the storage lie between the first and the last number of a tensor, including both."""
    if 0 in tensor.shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides))


def _storages(tensors: Mapping[str, Tensor]) -> dict[str, Storage]:
    return {tensor.storage.key: tensor.storage for tensor in tensors.values()}


def _length(file: BinaryIO) -> int:
    return file.seek(0, io.SEEK_END)
