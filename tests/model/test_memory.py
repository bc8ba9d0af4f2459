"""Memory that was freed leaves the process."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest

from tf_tokclf.model.memory import give_back_memory

MEGABYTE = 2**20


def resident_memory() -> int:
    """Bytes that this process holds in memory and that are no pages of files."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(kilobytes) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has a function for it")
def test_holes_below_what_is_still_used_are_given_back():
    # Blocks of 8 kB come from the heap, and the last of them keeps its end from being given back unasked.
    blocks = [ctypes.create_string_buffer(b"x" * 8191) for _ in range(20_000)]
    last = blocks.pop()
    blocks.clear()
    held = resident_memory()

    give_back_memory()

    assert held - resident_memory() > 100 * MEGABYTE, "156 MB had been freed"
    assert len(last) == 8192
