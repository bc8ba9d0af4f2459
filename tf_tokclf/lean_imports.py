"""Import large libraries in less time and memory: without traversing their objects, and without what no command uses.

On two cores, the import of TensorFlow, Keras and transformers takes 2.1 s instead of 3.3 s on the command line, and
0.56 GB instead of 0.65 GB.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_is_command = False


def only_a_command() -> None:
    """Say that this process does nothing but run a command of tf-tokclf. A program that uses tf_tokclf as a library may
    need what `leave_out` leaves out, and may have garbage of its own.
    """
    global _is_command
    _is_command = True


@contextmanager
def leave_out(*packages: str) -> Iterator[None]:
    """In a command, `import` does not find `packages` inside the block, unless they are already imported.

    For libraries that use a package if it is installed, so that users can pass its objects to them.
    """
    hidden = [name for name in packages if _is_command and name not in sys.modules]
    # None makes `import` raise ModuleNotFoundError.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def collected_afterwards() -> Iterator[None]:
    """Switch the garbage collector off inside the block.

    TensorFlow, Keras and transformers create 0.6 million objects that stay, and while they are imported, the collector
    traverses all objects six times (0.9 s). In a command they are also ignored afterwards. Each full collection would
    take 0.2 s.
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
