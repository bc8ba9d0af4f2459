"""Optional packages, which extras of this project install, and the message if one is missing."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from tf_tokclf.errors import UserError


def check_installed(what: str, *modules: str, extra: str) -> None:
    """Raise UserError unless all `modules` are installed.

    what: what needs them, for the message. extra: the extra of this project that installs them.
    """
    if missing := [module for module in modules if find_spec(module) is None]:
        verb = "is" if len(missing) == 1 else "are"
        raise UserError(f"{what} needs {' and '.join(missing)}, which {verb} not installed.", hint=install_hint(extra))


def install_hint(extra: str) -> str:
    """The remedy if a package of an extra is missing.

    >>> install_hint("serve")
    "Install it: python -m pip install 'tf-tokclf[serve]'"
    """
    return f"Install it: {install_command()} 'tf-tokclf[{extra}]'"


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
