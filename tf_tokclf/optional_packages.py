"""Packages that are not always installed: those of extras, and those that the distribution without TensorFlow lacks.

Two distributions contain this package: `tf-tokclf`, and `tf-tokclf-runtime` (the folder `runtime`), which installs
neither TensorFlow nor anything else that only training needs.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tf_tokclf.errors import UserError

FULL, RUNTIME = "tf-tokclf", "tf-tokclf-runtime"
EXTRAS_OF_RUNTIME = ("arrow", "serve")
_EXTRA_OF_MODULE = {"pyarrow": "arrow"}


@cache
def is_runtime_only() -> bool:
    """Whether only the distribution without TensorFlow is installed. Raises UserError if both are.

    They contain the same files, so each would replace those of the other, and uninstalling one would remove them.
    """
    runtime = _is_installed(RUNTIME)
    if runtime and _is_installed(FULL):
        raise UserError(
            f"{FULL} and {RUNTIME} are both installed here, but they contain the same files.",
            hint=f"Uninstall both (python -m pip uninstall {FULL} {RUNTIME}), and install the one that you need.",
        )
    return runtime


def _is_installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def check_installed(what: str, *modules: str, extra: str) -> None:
    """Raise UserError unless all `modules` are installed.

    what: what needs them, for the message. extra: the extra of this project that installs them.
    """
    if missing := _missing(modules):
        raise _not_installed(what, missing, install_hint(extra))


def check_full_install(what: str) -> None:
    """Raise UserError if the packages for training are not installed. what: what needs them, for the message."""
    if is_runtime_only() and (missing := _missing(("tensorflow", "tf_keras", "transformers", "datasets"))):
        raise _not_installed(what, missing, _full_hint())


def missing_package(error: ModuleNotFoundError) -> UserError | None:
    """The error for a package that the distribution without TensorFlow does not install. None for any other module."""
    name = (error.name or "").partition(".")[0]
    if not name or name == __package__ or name in sys.stdlib_module_names or not is_runtime_only():
        return None
    extra = _EXTRA_OF_MODULE.get(name)
    return UserError(
        f"this needs {name}, which {RUNTIME} does not install.", hint=install_hint(extra) if extra else _full_hint()
    )


def install_hint(extra: str) -> str:
    """The remedy if a package of an extra is missing.

    >>> install_hint("serve")
    "Install it: python -m pip install 'tf-tokclf[serve]'"
    """
    if not is_runtime_only():
        return f"Install it: {install_command()} '{FULL}[{extra}]'"
    if extra in EXTRAS_OF_RUNTIME:
        return f"Install it: {install_command()} '{RUNTIME}[{extra}]'"
    return _full_hint(f"{FULL}[{extra}]")


def install_command() -> str:
    """The command that installs packages into the environment of this program.

    >>> install_command()
    'python -m pip install'
    """
    # The environments of uv tool and pipx are not those in which the user's own Python installs packages.
    if Path(sys.prefix, "uv-receipt.toml").is_file():
        return f"uv pip install --python {shlex.quote(sys.executable)}"
    if Path(sys.prefix, "pipx_metadata.json").is_file():
        return f"{shlex.quote(sys.executable)} -m pip install"
    return "python -m pip install"


def _missing(modules: Iterable[str]) -> list[str]:
    return [module for module in modules if find_spec(module) is None]


def _not_installed(what: str, missing: list[str], hint: str) -> UserError:
    *others, last = missing
    names = f"{', '.join(others)} and {last}" if others else last
    return UserError(f"{what} needs {names}, which {'are' if others else 'is'} not installed.", hint=hint)


def _full_hint(name: str = FULL) -> str:
    return f"In another environment, install {FULL}: python -m pip install {shlex.quote(name)}"
