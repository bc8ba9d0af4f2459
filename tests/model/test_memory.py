"""Freed memory is returned to the operating system."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref

import pytest

from tf_tokclf.model.backend import tf
from tf_tokclf.model.memory import traced_gradients_forgotten

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


FAULTS = """
import ctypes, resource
from tf_tokclf.model.memory import keep_freed_memory

keep_freed_memory()

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    # By default, glibc gets a block of this size from the operating system, and returns it when it is freed.
    block = ctypes.create_string_buffer(16_000_000)
    ctypes.memset(block, 1, len(block))
    del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

page_faults()
print(min(page_faults() for _ in range(3)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has settings for it")
@pytest.mark.parametrize("by_user", [False, True])
def test_freed_blocks_are_kept_unless_the_user_has_settings(by_user: bool):
    environment = os.environ | (
        {"MALLOC_TRIM_THRESHOLD_": "100000", "MALLOC_MMAP_THRESHOLD_": "100000"} if by_user else {}
    )
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, env=environment)
    assert (int(done.stdout) > 3000) == by_user, "16 MB are 3,907 pages of 4 kB"


def test_what_a_traced_gradient_refers_to_is_freed():
    @tf.custom_gradient
    def doubled(x):
        return 2 * x, lambda upstream: 2 * upstream

    variable = tf.Variable(3.0)
    with traced_gradients_forgotten():
        function = tf.function(lambda: doubled(variable))
        with tf.GradientTape() as tape:
            result = function()
        assert float(tape.gradient(result, variable)) == 2.0
    graph = weakref.ref(function.get_concrete_function().graph)
    del function, tape, result
    gc.collect()

    assert graph() is None
