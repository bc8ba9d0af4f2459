"""Packages of extras: checked before the work that needs them."""

from __future__ import annotations

from importlib.util import find_spec

from tf_tokclf.errors import UserError


def check_installed(what: str, *modules: str, extra: str) -> None:
    """Raise UserError unless all `modules` are installed.

    what: needs them, for the message. extra: of this project, which installs them.
    """
    if missing := [module for module in modules if find_spec(module) is None]:
        verb = "is" if len(missing) == 1 else "are"
        raise UserError(f"{what} needs {' and '.join(missing)}, which {verb} not installed.", hint=install_hint(extra))


def install_hint(extra: str) -> str:
    """What to do where a package of an extra is missing.

    >>> install_hint("serve")
    "Install it: python -m pip install 'tf-tokclf[serve]'"
    """
    return f"Install it: python -m pip install 'tf-tokclf[{extra}]'"
