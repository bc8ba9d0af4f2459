"""tf-tokclf trains, scores and uses token classifiers.

>>> from tf_tokclf import Config, fit, evaluate, load   # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tf_tokclf.library_log import show_warnings
from tf_tokclf.version import __version__

if TYPE_CHECKING:
    from tf_tokclf.config.loading import load_config
    from tf_tokclf.config.schema import Config
    from tf_tokclf.data.splits import load_data
    from tf_tokclf.inference.evaluate import evaluate
    from tf_tokclf.inference.load import load
    from tf_tokclf.publishing.publish import push
    from tf_tokclf.runs.fit import fit
    from tf_tokclf.scoring.comparison import compare_systems as compare

show_warnings()

# Imported on first use, because importing TensorFlow takes seconds and much of the package does not need it.
_HOMES = {
    "Config": ("tf_tokclf.config.schema", "Config"),
    "compare": ("tf_tokclf.scoring.comparison", "compare_systems"),
    "evaluate": ("tf_tokclf.inference.evaluate", "evaluate"),
    "fit": ("tf_tokclf.runs.fit", "fit"),
    "load": ("tf_tokclf.inference.load", "load"),
    "load_config": ("tf_tokclf.config.loading", "load_config"),
    "load_data": ("tf_tokclf.data.splits", "load_data"),
    "push": ("tf_tokclf.publishing.publish", "push"),
}

__all__ = ["Config", "__version__", "compare", "evaluate", "fit", "load", "load_config", "load_data", "push"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tf_tokclf.optional_packages import is_runtime_only, missing_package

    is_runtime_only()  # raises an error if two distributions are installed
    module, attribute = _HOMES[name]
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (problem := missing_package(error)) is None:
            raise
        raise problem from error
