"""Free memory that TensorFlow and the C library would keep, and keep what the next step of training needs again."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tensorflow.python.framework import ops

# Available in glibc, but not in musl or the C libraries of macOS and Windows.
_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None
_TRIM = getattr(_LIBRARY, "malloc_trim", None)
# Options of mallopt(3), by their numbers in malloc.h, and variables of the environment by which users set them.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES")


def keep_freed_memory() -> None:
    """Let the C library keep memory that a step of training frees, because the next step needs it again.

    By default it returns large blocks to the operating system, which then clears each page again before it is used:
    26,000 pages and 45 of 520 ms of processor time in each step of DistilBERT (16 x 32 tokens, bfloat16, two cores).
    All threads share two pools of memory, because one for each thread takes 0.2 GB more. `give_back_memory` still
    works.

    Settings of the user in the environment have priority. Other C libraries than glibc are left as they are.
    """
    if _LIBRARY is None or _TRIM is None or any(name in os.environ for name in _VARIABLES):
        return
    # 32 MiB is the largest threshold that glibc accepts.
    for option, value in ((_M_MMAP_THRESHOLD, 2**25), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_ARENA_MAX, 2)):
        _LIBRARY.mallopt(option, value)


def give_back_memory() -> None:
    """Return freed memory to the operating system. This takes about 30 ms.

    It is called between the phases of a run. Without it, the memory that training has freed adds to that of scoring and
    saving: 0.1 GB of the peak for MiniLM-L6.
    """
    if _TRIM is not None:
        _TRIM(0)


@contextmanager
def traced_gradients_forgotten() -> Iterator[None]:
    """Forget the gradients of functions that are traced in the block, when it ends. They cannot be computed afterwards.

    TensorFlow registers each trace of a `tf.custom_gradient` for the rest of the process. The trace refers to its
    graph, and this to the weights and the state of the optimizer: 0.4 GB in each run with MiniLM-L6.
    """
    # The registry has no public function to remove something.
    registered = ops.gradient_registry._registry
    before = set(registered)
    try:
        yield
    finally:
        for name in registered.keys() - before:
            if name.startswith("CustomGradient"):
                registered.pop(name, None)  # another thread may have removed it
