"""Import TensorFlow, Keras 2 and transformers in one place, in the right order and without start-up messages.

The TensorFlow classes of transformers need Keras 2 (tf_keras), which must be selected before TensorFlow is imported.
The messages that TensorFlow's C++ code writes to file descriptor 2 are suppressed unless logging is at DEBUG.
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
from importlib import import_module
from pathlib import Path
from types import ModuleType

from tf_tokclf.lean_imports import collected_afterwards, leave_out

VERBOSE = logging.getLogger("tf_tokclf").isEnabledFor(logging.DEBUG)


@contextmanager
def quiet_stderr(*, quiet: bool = True) -> Iterator[None]:
    """Suppress output to file descriptor 2, also that of C++ code. It is shown if the block raises an exception."""
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
    # By default TensorFlow uses oneDNN only on CPUs with AVX-512 or AMX. A training step of MiniLM-L6 (16 x 32 tokens,
    # float32) takes 282 ms with oneDNN and 338 ms without it on an AMD EPYC with AVX2, two cores.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # TensorFlow's own allocator for oneDNN does not release memory, and it can abort the process when memory runs out.
    # With the system's allocator there is an error that can be reported. It needs 0.1 GB less and is as fast.
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
if not VERBOSE:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _share_list_of_models(package: ModuleType) -> None:
    """Give transformers' package of models the list of all models that `transformers` has just made.

    Otherwise it would make the list again from the text of 1,700 files, which takes 0.2 s.
    """
    tools, folder = package.utils.import_utils, Path(package.__path__[0], "models")
    make_list = tools.define_import_structure  # remembers its results
    names = {
        needed: {
            name.removeprefix("models."): classes for name, classes in modules.items() if name.startswith("models.")
        }
        for needed, modules in make_list(folder, prefix="models").items()
    }
    tools.define_import_structure = lambda path, prefix=None: names
    try:
        import_module("transformers.models")
    finally:
        tools.define_import_structure = make_list


with quiet_stderr(quiet=not VERBOSE), warnings.catch_warnings(), collected_afterwards():
    warnings.simplefilter("default" if VERBOSE else "ignore")
    # Keras would import them, so that models can be trained on data frames and sparse matrices.
    with leave_out("pandas", "scipy"):
        import tensorflow as tf
        import tf_keras as keras
    import transformers

    _share_list_of_models(transformers)

    # Prevents transformers from importing scipy.stats and sklearn for the metrics of GLUE, which are not used here.
    # This saves 1.1 of 8 s of imports on two cores.
    transformers.utils.import_utils._sklearn_available = False

    for gpu in tf.config.list_physical_devices("GPU"):
        # Allocate GPU memory as needed. By default TensorFlow allocates all of it at once.
        tf.config.experimental.set_memory_growth(gpu, True)

    from tf_tokclf.model.parallel import set_cpu_options

    set_cpu_options()

if not VERBOSE:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tf.get_logger().setLevel(logging.ERROR)

__all__ = ["VERBOSE", "keras", "quiet_stderr", "tf", "transformers"]
