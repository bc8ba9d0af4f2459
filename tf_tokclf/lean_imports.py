"""Import large libraries in less time and memory: without garbage collection, and without packages that are not used.

On two cores, `fit` imports its modules in 2.0 s instead of 3.3 s, and they need 0.62 GB instead of 0.67 GB.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

_is_command = False


def declare_command() -> None:
    """Declare that this process only runs a command of tf-tokclf.

    A program that uses tf_tokclf as a library may need what `leave_out` leaves out, and may have garbage of its own.
    """
    global _is_command
    _is_command = True


class _Hidden(MetaPathFinder):
    """Packages that `import` does not find. With None in sys.modules, `import ... as` of Cython would give None."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """Refuse the names. Others are looked for elsewhere."""
        if fullname in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@contextmanager
def leave_out(*packages: str) -> Iterator[None]:
    """In a command, `import` does not find `packages` inside the block, unless they are already imported.

    For libraries that use a package if it is installed, so that users can pass its objects to them.
    """
    if not _is_command:
        yield
        return
    hidden = _Hidden(packages)
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)


def use_pyarrow_without_pandas(pyarrow: ModuleType) -> None:
    """In a command, keep pyarrow from importing pandas, which takes 0.2 s and 45 MB.

    pyarrow imports pandas when it makes its first array, to recognise objects of pandas. It can still import pandas
    later, to convert to or from its objects.
    """
    if _is_command:
        with leave_out("pandas"):
            pyarrow.array([])


@contextmanager
def stand_in_for_sklearn() -> Iterator[None]:
    """In a command, let seqeval be imported without scikit-learn, from which it only needs the class of a warning.

    scikit-learn imports scipy and pandas too: 0.5 s and 70 MB. It can be imported as usual after the block.
    """
    if not _is_command or "sklearn" in sys.modules:
        yield
        return
    package, exceptions = ModuleType("sklearn"), ModuleType("sklearn.exceptions")
    vars(exceptions)["UndefinedMetricWarning"] = type("UndefinedMetricWarning", (UserWarning,), {})
    stand_ins = {module.__name__: module for module in (package, exceptions)}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


@contextmanager
def collected_afterwards() -> Iterator[None]:
    """Switch the garbage collector off inside the block.

    The imports of TensorFlow, Keras and transformers create 0.6 million objects that stay, and the collector would
    traverse all of them six times (0.9 s). In a command, later collections ignore them too, which saves 0.2 s for each
    full collection.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _is_command:
            gc.freeze()
        if was_on:
            gc.enable()
