"""Interpret the pickles in PyTorch's weight files. No code runs: only plain values, storages and tensors are built.

Python's own unpickler is too powerful for untrusted files, even if it knows few names. An index of 2**31 makes it
allocate gigabytes, nested tuples as keys crash the process, and allowed functions can be called with any arguments.
This interpreter knows only the instructions of protocol 2 that `torch.save` writes. It imports nothing and calls
nothing by name, and each instruction allocates at most what its own bytes contain.

The instructions and names are those that `torch.load(weights_only=True)` accepts for a mapping of dense tensors.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tf_tokclf.counted import counted

# A tensor needs about 45 instructions. The largest published encoders have fewer than 2,000 tensors.
MOST_INSTRUCTIONS = 1_000_000
MOST_AXES = 64
LARGEST_SIZE = 2**48

# Name of a data type in PyTorch -> bytes per number.
ITEM_SIZES: Mapping[str, int] = {
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "bool": 1,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "complex32": 4,
    "complex64": 8,
    "complex128": 16,
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2": 1,
    "float8_e5m2fnuz": 1,
}
_STORAGE_TYPES = {
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Float": "float32",
    "Double": "float64",
    "Bool": "bool",
    "Byte": "uint8",
    "Char": "int8",
    "Short": "int16",
    "Int": "int32",
    "Long": "int64",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
# Name of a storage class -> its data type. Untyped storages count bytes.
_STORAGES: Mapping[str, str] = {
    **{f"torch.{kind}Storage": dtype for kind, dtype in _STORAGE_TYPES.items()},
    **{f"torch.cuda.{kind}Storage": dtype for kind, dtype in _STORAGE_TYPES.items()},
    "torch.storage.UntypedStorage": "uint8",
}
_DTYPES: Mapping[str, str] = {f"torch.{dtype}": dtype for dtype in ITEM_SIZES}
# Values that no tensor needs, such as a number of bytes or a set. They are read, but not built.
_UNUSED = frozenset(
    [
        "collections.Counter",
        "torch.device",
        "_codecs.encode",
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "bytearray", "complex")),
    ]
)
_UNSUPPORTED: Mapping[str, str] = {
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_wrapper_subclass": "a tensor of another class",
    "_rebuild_meta_tensor_no_storage": "a tensor without values",
    "_rebuild_device_tensor_from_numpy": "a tensor that was not moved to the CPU before it was saved",
    "_rebuild_device_tensor_from_cpu_tensor": "a tensor that was not moved to the CPU before it was saved",
}


class UnsafeWeights(ValueError):
    """The file refers to something other than tensors and plain values, such as a function."""


class UnsupportedWeights(ValueError):
    """The file is a valid file of PyTorch, but its content cannot be used here."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A block of numbers in the file: `size` numbers of type `dtype` under the name `key`."""

    dtype: str
    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage. offset, strides: in numbers of type `dtype`."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unpickled:
    """The value of a pickle. end: the position after its last byte. storages: all storages that it names, by key."""

    value: Any
    end: int
    storages: Mapping[str, Storage]


def unpickled(data: bytes, start: int = 0) -> Unpickled:
    """The value of the pickle that begins at `start`. Entries of a dict whose keys are not strings are left out.

    Raises ValueError for an invalid pickle, UnsafeWeights if it refers to functions or classes that no tensor needs,
    and UnsupportedWeights for tensors that are not dense.
    """
    machine = _Machine(data, start)
    value = machine.run()
    return Unpickled(value, machine.at, machine.storages)


@dataclass(frozen=True, slots=True)
class _Name:
    """The name of a class, a function or a data type."""

    name: str


@dataclass(frozen=True, slots=True)
class _View:
    """A part of a storage, which old files name separately."""

    storage: Storage
    offset: int


_NOT_BUILT = object()


@dataclass
class _Machine:
    """The state of the interpreter. marked: the stacks below each mark."""

    data: bytes
    at: int
    stack: list[Any] = field(default_factory=list)
    marked: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)
    left: int = MOST_INSTRUCTIONS

    def run(self) -> Any:
        """Follow the instructions up to the last one, and return the value on the stack."""
        while True:
            self.spend(1)
            code = self.take(1)
            if code == b".":
                return self.pop()
            action = _ACTIONS.get(code)
            if action is None:
                raise UnsupportedWeights(f"its pickle contains the instruction {code!r}, which torch.save never writes")
            action(self)

    def spend(self, n_instructions: int) -> None:
        self.left -= n_instructions
        if self.left < 0:
            raise ValueError(f"its pickle has more than {counted(MOST_INSTRUCTIONS, 'instruction')}")

    def take(self, n_bytes: int) -> bytes:
        """The next bytes of the pickle."""
        end = self.at + n_bytes
        if end > len(self.data):
            raise ValueError("its pickle ends too early")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def number(self, format: str) -> Any:
        (value,) = struct.unpack(format, self.take(struct.calcsize(format)))
        return value

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + 1000)
        if end < 0:
            raise ValueError("its pickle contains a name without an end")
        text = self.data[self.at : end].decode("utf-8", "replace")
        self.at = end + 1
        return text

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise ValueError("its pickle takes a value from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise ValueError("its pickle takes a value from an empty stack")
        return self.stack[-1]

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        if not self.marked:
            raise ValueError("its pickle ends a sequence that does not begin")
        items, self.stack = self.stack, self.marked.pop()
        return items

    def make_tuple(self, n: int) -> None:
        items = [self.pop() for _ in range(n)]
        self.push(tuple(reversed(items)))

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise ValueError("its pickle refers to a value that it does not contain")
        self.push(self.memo[index])

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise ValueError("its pickle appends to something that is not a list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        if target is _NOT_BUILT:
            return
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("its pickle adds entries to something that is not a dict")
        _add(target, zip(items[::2], items[1::2]))

    def name(self) -> None:
        """Push the name of a class or function, if it is one that tensors need."""
        module, last = self.line(), self.line()
        name = f"{module}.{last}"
        if module == "torch._utils" and last in _UNSUPPORTED:
            raise UnsupportedWeights(f"it contains {_UNSUPPORTED[last]}")
        if name not in _KNOWN:
            raise UnsafeWeights(f"refers to {name[:100]}, which is not part of a file of weights")
        self.push(_Name(name))

    def call(self) -> None:
        """Replace a function and its arguments by the value that our own counterpart of the function returns."""
        arguments, function = self.pop(), self.pop()
        self.push(self.result(function, arguments))

    def result(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise ValueError("its pickle calls something that is not a function")
        if function.name in _UNUSED:
            return _NOT_BUILT
        if function.name == _OF_A_TYPE:
            # The function that builds the tensor, the class of the result, and the arguments of the function.
            inner = arguments[0] if arguments else None
            if len(arguments) < 3 or not isinstance(inner, _Name) or inner.name == _OF_A_TYPE:
                raise ValueError("its pickle describes a tensor with invalid arguments")
            return self.result(inner, arguments[2])
        if function.name not in _FUNCTIONS:
            raise UnsafeWeights(f"calls {function.name}, which no file of weights does")
        if function.name == _ORDERED_DICT and arguments and isinstance(arguments[0], list):
            self.spend(len(arguments[0]))
        return _FUNCTIONS[function.name](arguments)

    def set_state(self) -> None:
        """Drop the state of an object: version numbers of a dict, or attributes of a tensor."""
        self.pop()
        if not isinstance(self.top(), dict | Tensor) and self.top() is not _NOT_BUILT:
            raise ValueError("its pickle sets the state of something that has none")

    def load_storage(self) -> None:
        """Replace the description of a storage by the storage, or by a view of it."""
        given = self.pop()
        if not isinstance(given, tuple) or len(given) not in (5, 6) or given[0] != "storage":
            raise UnsafeWeights("refers to an object outside of the pickle that is not a storage of numbers")
        kind, key, size = given[1], given[2], given[4]
        if not isinstance(kind, _Name) or kind.name not in _STORAGES or not isinstance(key, str | int):
            raise ValueError("its pickle describes a storage with invalid arguments")
        storage = Storage(_STORAGES[kind.name], str(key)[:100], _size(size))
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError("its pickle describes the same storage in two ways")
        view = given[5] if len(given) == 6 else None
        if view is None:
            self.push(storage)
            return
        if not isinstance(view, tuple) or len(view) != 3 or _size(view[1]) + _size(view[2]) > storage.size:
            raise ValueError("its pickle describes a part of a storage with invalid arguments")
        self.push(_View(storage, view[1]))


def _add(target: dict[str, Any], pairs: Any) -> None:
    """Add entries to a dict. Others than strings are no keys of tensors, and can take very long to hash."""
    target.update((key, value) for key, value in pairs if isinstance(key, str))


def _size(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LARGEST_SIZE:
        raise ValueError("its pickle contains a size that is not possible")
    return value


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > MOST_AXES:
        raise ValueError("its pickle contains a shape that is not possible")
    return tuple(map(_size, value))


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    """The arguments: storage, offset, shape and strides. Others do not change the values."""
    if len(arguments) < 4:
        _invalid_tensor()
    source, offset, shape, strides = arguments[:4]
    view = source if isinstance(source, _View) else _View(source, 0)
    if not isinstance(view.storage, Storage):
        _invalid_tensor()
    tensor = Tensor(view.storage, view.storage.dtype, view.offset + _size(offset), _sizes(shape), _sizes(strides))
    if len(tensor.shape) != len(tensor.strides):
        _invalid_tensor()
    if len(arguments) > 6 and arguments[6]:
        raise UnsupportedWeights("it contains a tensor that stores the conjugate or the negative of its values")
    return tensor


def _tensor_of_type(arguments: tuple[Any, ...]) -> Tensor:
    """The same with a data type, for types that have no class of storages."""
    tensor = _tensor(arguments[:6])
    dtype = arguments[6] if len(arguments) > 6 else None
    if not isinstance(dtype, _Name) or dtype.name not in _DTYPES:
        _invalid_tensor()
    return Tensor(tensor.storage, _DTYPES[dtype.name], tensor.offset, tensor.shape, tensor.strides)


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    """The arguments: a tensor, and whether it is trained."""
    if not arguments or not isinstance(arguments[0], Tensor):
        _invalid_tensor()
    tensor: Tensor = arguments[0]
    return tensor


def _invalid_tensor() -> NoReturn:
    raise ValueError("its pickle describes a tensor with invalid arguments")


def _shape(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    return _sizes(arguments[0]) if len(arguments) == 1 else _sizes(None)


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Without arguments, or with a list of pairs, as Python 2 wrote it."""
    pairs = arguments[0] if arguments else []
    if not isinstance(pairs, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise ValueError("its pickle describes a dict with invalid arguments")
    content: dict[str, Any] = {}
    _add(content, pairs)
    return content


_ORDERED_DICT = "collections.OrderedDict"
_OF_A_TYPE = "torch._tensor._rebuild_from_type_v2"
_FUNCTIONS: Mapping[str, Callable[[tuple[Any, ...]], Any]] = {
    _ORDERED_DICT: _ordered_dict,
    "torch.Size": _shape,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
}
_KNOWN = frozenset([*_FUNCTIONS, *_STORAGES, *_DTYPES, *_UNUSED, _OF_A_TYPE, "torch.Tensor"])
# The instructions of pickle, by their byte. The standard library documents them in `pickletools`.
_ACTIONS: Mapping[bytes, Callable[[_Machine], None]] = {
    b"\x80": lambda m: _check_protocol(m.number("<B")),
    b"c": _Machine.name,
    b"R": _Machine.call,
    b"\x81": _Machine.call,
    b"b": _Machine.set_state,
    b"Q": _Machine.load_storage,
    b"(": _Machine.mark,
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.make_tuple(1),
    b"\x86": lambda m: m.make_tuple(2),
    b"\x87": lambda m: m.make_tuple(3),
    b")": lambda m: m.push(()),
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b"a": lambda m: m.extend([m.pop()]),
    b"e": lambda m: m.extend(m.since_mark()),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"J": lambda m: m.push(m.number("<i")),
    b"\x8a": lambda m: m.push(int.from_bytes(m.take(m.number("<B")), "little", signed=True)),
    b"G": lambda m: m.push(m.number(">d")),
    b"X": lambda m: m.push(m.take(m.number("<I")).decode("utf-8", "replace")),
    b"U": lambda m: m.push(m.take(m.number("<B")).decode("ascii", "replace")),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
}


def _check_protocol(protocol: int) -> None:
    if protocol != 2:
        raise UnsupportedWeights(f"its pickle has protocol {protocol} instead of 2, which torch.save uses by default")
