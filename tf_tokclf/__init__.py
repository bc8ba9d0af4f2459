"""tf-tokclf trains, scores and uses token classifiers.

>>> from tf_tokclf import Config, fit, evaluate, load   # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tf_tokclf.version import __version__

if TYPE_CHECKING:
    from tf_tokclf.config.loading import load_config
    from tf_tokclf.config.schema import Config
    from tf_tokclf.inference.evaluate import evaluate, load
    from tf_tokclf.runs.fit import fit

# Imported on first use, because importing TensorFlow takes seconds and much of the package does not need it.
_HOMES = {
    "Config": "tf_tokclf.config.schema",
    "load_config": "tf_tokclf.config.loading",
    "fit": "tf_tokclf.runs.fit",
    "evaluate": "tf_tokclf.inference.evaluate",
    "load": "tf_tokclf.inference.evaluate",
}

__all__ = ["Config", "__version__", "evaluate", "fit", "load", "load_config"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
