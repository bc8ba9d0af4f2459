"""Return free memory to the operating system, which the C library does not do by itself."""

from __future__ import annotations

import ctypes
import sys

# Available in glibc, but not in musl or the C libraries of macOS and Windows.
_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def give_back_memory() -> None:
    """Return freed memory to the operating system. This takes about 30 ms.

    It is called between the phases of a run. Without it, the memory that training has freed adds to that of scoring and
    saving: 0.1 GB of the peak for MiniLM-L6.
    """
    if _TRIM is not None:
        _TRIM(0)
