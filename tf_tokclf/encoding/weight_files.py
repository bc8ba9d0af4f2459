"""Read the weight files of a model tensor by tensor: names, shapes and values, in either layout.

The files are `model.safetensors`, `tf_model.h5` and `pytorch_model.bin`. The first and the last can consist of several
files (shards). Tensor names are `bert.encoder.layer.0...weight` in the PyTorch layout and
`bert/encoder/layer_._0/...kernel:0` in the Keras layout. Only files in the folder are opened.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open

from tf_tokclf.counted import counted
from tf_tokclf.encoding.hints import NO_PICKLE, UNTRUSTED, WEIGHTS_AGAIN
from tf_tokclf.encoding.torch_pickle import UnsafeWeights, UnsupportedWeights
from tf_tokclf.encoding.torch_weights import open_torch_weights
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.json_text import LFS_POINTER, read_json

SAFETENSORS, INDEX, H5 = "model.safetensors", "model.safetensors.index.json", "tf_model.h5"
TORCH, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
# In order of preference. The last ones are pickles, so they are only read if there is nothing else.
READABLE_WEIGHTS = (SAFETENSORS, INDEX, H5, TORCH, TORCH_INDEX)
MOST_SHARDS = 1_000
CONVERT = (
    "Convert the model once where torch is installed: "
    "AutoModel.from_pretrained(X).save_pretrained(Y) writes model.safetensors to the folder Y."
)

Layout = Literal["pytorch", "keras"]


@dataclass(frozen=True)
class WeightFiles:
    """Open weight files.

    path: the file, or the index of several files. files: all files with tensors. layout: the naming of tensors and the
    orientation of matrices. shapes: tensor name -> shape.
    """

    path: Path
    files: tuple[Path, ...]
    layout: Layout
    shapes: Mapping[str, tuple[int, ...]]
    _sources: Mapping[str, Any]

    @property
    def config(self) -> Path:
        """The path of config.json in the same folder."""
        return self.path.with_name("config.json")

    @property
    def n_numbers(self) -> int:
        """The total number of values in all tensors."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def array(self, name: str) -> np.ndarray:
        """The values of a tensor."""
        try:
            return _values(self._sources[name], name)
        except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
            problem = f"{shortened(name)} cannot be read: {first_line(error)}."
            raise UserError(problem, path=self.path, hint=WEIGHTS_AGAIN) from error


def shortened(name: str) -> str:
    """A tensor's name for a message. The names in an untrusted file can be very long.

    >>> shortened("bert.pooler.dense.bias"), len(shortened("x" * 10**6))
    ('bert.pooler.dense.bias', 100)
    """
    return name if len(name) <= 100 else f"{name[:97]}..."


@contextmanager
def open_weights(folder: Path) -> Iterator[WeightFiles]:
    """The weights in a model folder: the first that exists of READABLE_WEIGHTS.

    Raises UserError for files that are damaged, files that refer to other files, and pickles that contain more than
    tensors.
    """
    path = _preferred(folder)
    files = weight_files(folder) or [path]
    with ExitStack() as stack:
        if path.name == H5:
            yield _h5(path, stack)
        elif path.name in (TORCH, TORCH_INDEX):
            yield _torch(path, files, stack)
        else:
            yield _safetensors(path, files, stack)


def weight_files(folder: Path) -> list[Path]:
    """The files that `open_weights` opens, without opening them. Raises UserError for an invalid index."""
    path = _preferred(folder)
    if path.name in (INDEX, TORCH_INDEX):
        return _shards(path)
    return [path] if path.is_file() else []


def _preferred(folder: Path) -> Path:
    return next((folder / name for name in READABLE_WEIGHTS if (folder / name).is_file()), folder / SAFETENSORS)


def _shards(index: Path) -> list[Path]:
    """The files that an index names, each once. They must be in the same folder."""
    content = read_json(index, hint=WEIGHTS_AGAIN)
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError("has no weight_map.", path=index, hint=WEIGHTS_AGAIN)
    names = list(dict.fromkeys(str(name) for name in weight_map.values()))
    if len(names) > MOST_SHARDS:
        problem = f"names {counted(len(names), 'file')}, more than {MOST_SHARDS:,}."
        raise UserError(problem, path=index, hint=WEIGHTS_AGAIN)
    suffix = ".bin" if index.name == TORCH_INDEX else ".safetensors"
    for name in names:
        if name != Path(name).name or "\\" in name or not name.endswith(suffix):
            raise UserError(
                f"names the file {name[:100]!r}, which is not a {suffix} file in the same folder.",
                path=index,
                hint=UNTRUSTED,
            )
        if not (index.parent / name).is_file():
            raise UserError(f"names {name[:100]}, which does not exist.", path=index, hint=WEIGHTS_AGAIN)
    return [index.parent / name for name in names]


def _safetensors(path: Path, files: list[Path], stack: ExitStack) -> WeightFiles:
    shapes: dict[str, tuple[int, ...]] = {}
    sources: dict[str, Any] = {}
    for file in files:
        try:
            opened = stack.enter_context(safe_open(file, framework="numpy"))
            for name in list(opened.keys()):
                shapes[name] = tuple(opened.get_slice(name).get_shape())
                sources[name] = opened
        except (SafetensorError, OSError, ValueError) as error:
            raise _damaged(file, error) from error
    # The names show the layout. Not every tool writes the "format" entry that transformers requires.
    keras = bool(shapes) and all("/" in name for name in shapes)
    return WeightFiles(path, tuple(files), "keras" if keras else "pytorch", shapes, sources)


def _torch(path: Path, files: list[Path], stack: ExitStack) -> WeightFiles:
    shapes: dict[str, tuple[int, ...]] = {}
    sources: dict[str, Any] = {}
    for file in files:
        try:
            opened = open_torch_weights(file, stack)
        except UnsafeWeights as error:
            raise UserError(f"{first_line(error)}. No code was run.", path=file, hint=NO_PICKLE) from error
        except UnsupportedWeights as error:
            raise UserError(f"cannot be used: {first_line(error)}.", path=file, hint=CONVERT) from error
        except (OSError, ValueError) as error:
            raise _damaged(file, error) from error
        shapes |= {name: tensor.shape for name, tensor in opened.tensors.items()}
        sources |= dict.fromkeys(opened.tensors, opened)
    return WeightFiles(path, tuple(files), "pytorch", shapes, sources)


def _h5(path: Path, stack: ExitStack) -> WeightFiles:
    import h5py

    datasets: dict[str, Any] = {}
    try:
        file = stack.enter_context(h5py.File(path, "r"))
        _collect(file, path, datasets, seen=set())
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _damaged(path, error) from error
    # The first part of a name is the group of the layer, the second is the name of the saved model.
    named = {"/".join(name.split("/")[2:]): dataset for name, dataset in datasets.items() if name.count("/") > 1}
    shapes = {name: tuple(dataset.shape) for name, dataset in named.items()}
    return WeightFiles(path, (path,), "keras", shapes, named)


def _damaged(path: Path, error: Exception) -> UserError:
    with suppress(OSError), path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER.encode():
            problem = "is a Git LFS pointer instead of the weights."
            return UserError(problem, path=path, hint="Run `git lfs pull` in its folder.")
    return UserError(f"is damaged: {first_line(error)}.", path=path, hint=WEIGHTS_AGAIN)


def _collect(group: Any, path: Path, found: dict[str, Any], prefix: str = "", *, seen: set[Any]) -> None:
    """Collect all data sets under `group` by path. Raises UserError for a data set in another file.

    seen: the objects that were visited before. Groups with several names could otherwise form an endless loop.
    """
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _leads_elsewhere(prefix + name, path)
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise _leads_elsewhere(prefix + name, path)
        seen.add(address)
        if isinstance(item, h5py.Group):
            if prefix.count("/") > 100:
                raise UserError("is nested too deeply.", path=path, hint=WEIGHTS_AGAIN)
            _collect(item, path, found, f"{prefix}{name}/", seen=seen)
        elif isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise _leads_elsewhere(prefix + name, path)
            if item.nbytes > path.stat().st_size:
                raise UserError(f"{prefix}{name} is larger than the file.", path=path, hint=WEIGHTS_AGAIN)
            found[prefix + name] = item


def _leads_elsewhere(name: str, path: Path) -> UserError:
    return UserError(f"{name[:100]} is a link to another place.", path=path, hint=UNTRUSTED)


def _values(source: Any, name: str) -> np.ndarray:
    array = source.get_tensor(name) if hasattr(source, "get_tensor") else np.asarray(source)
    # Integers and 8-bit floats come from quantised models, and have no meaning without their scales.
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise ValueError(f"its numbers are {array.dtype}, not 16, 32 or 64-bit floats")
    return array
