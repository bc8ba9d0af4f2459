"""TensorFlow, Keras 2 and transformers, imported in one place: in the right order, once, and quietly.

transformers' TF classes need Keras 2 (tf_keras), which has to be asked for before TensorFlow is imported. The start-up
text that TensorFlow's C++ side writes to file descriptor 2 stays out of sight unless our logging is at DEBUG.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

VERBOSE = logging.getLogger("tf_tokclf").isEnabledFor(logging.DEBUG)


@contextmanager
def quiet_stderr(*, quiet: bool = True) -> Iterator[None]:
    """Hold back what is written to file descriptor 2, by C++ too; show it after all when the block raises."""
    if not quiet:
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


os.environ["TF_USE_LEGACY_KERAS"] = "1"
if platform.machine() in ("x86_64", "AMD64"):
    # TensorFlow uses oneDNN unasked only on CPUs with AVX-512 or AMX. A training step of MiniLM-L6 (16 x 32 pieces,
    # float32) takes 282 ms with it and 338 without on an AMD EPYC with AVX2, two cores.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # TensorFlow's own allocator beside oneDNN gives nothing back, and aborts the process where memory runs out while
    # it writes down what it took; the system's leads to an error that can be told (and to 0.1 GB less, as fast).
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
if not VERBOSE:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

with quiet_stderr(quiet=not VERBOSE), warnings.catch_warnings():
    warnings.simplefilter("default" if VERBOSE else "ignore")
    import tensorflow as tf
    import tf_keras as keras
    import transformers

    # What transformers imports for the metrics of GLUE, which nobody asks for here: scipy.stats and sklearn, 1.1 of the
    # 8 s that imports take on two cores.
    transformers.utils.import_utils._sklearn_available = False

    for gpu in tf.config.list_physical_devices("GPU"):
        # Memory grows as needed: without this TensorFlow takes all of it at once.
        tf.config.experimental.set_memory_growth(gpu, True)

    from tf_tokclf.model.parallel import set_cpu_options

    set_cpu_options()

if not VERBOSE:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tf.get_logger().setLevel(logging.ERROR)

__all__ = ["VERBOSE", "keras", "quiet_stderr", "tf", "transformers"]
