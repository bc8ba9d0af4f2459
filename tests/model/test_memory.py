"""Freed memory is returned to the operating system."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A separate process, because other tests also change the memory of this one.
CODE = """
import ctypes
from tf_tokclf.model.memory import give_back_memory

def resident_memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon:"))

# Blocks of 8 kB come from the heap, and the last of them keeps its end from being given back unasked.
blocks = [ctypes.create_string_buffer(b"x" * 8191) for _ in range(20_000)]
last = blocks.pop()
blocks.clear()
held = resident_memory()
give_back_memory()
print(held - resident_memory())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has a function for it")
def test_holes_below_what_is_still_used_are_given_back():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 100_000_000, "164 MB had been freed"
