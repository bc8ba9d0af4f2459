"""Programs and packages that a test needs. Without them the test is skipped, or fails in continuous integration, which
installs everything."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest


def need(what: str, is_there: object, remedy: str) -> None:
    """Skip the test, or fail it where CI is set, unless `is_there`."""
    if is_there:
        return
    message = f"needs {what}: {remedy}"
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message, allow_module_level=True)


def need_modules(*names: str, extra: str) -> None:
    """Require the modules of an extra. TF_TOKCLF_WITHOUT lists those that an environment deliberately lacks."""
    for name in names:
        if name in os.environ.get("TF_TOKCLF_WITHOUT", "").split(","):
            pytest.skip(f"this environment leaves {name} out", allow_module_level=True)
        need(name, find_spec(name), f"pip install 'tf-tokclf[{extra}]'")


def need_program(*names: str, remedy: str) -> str:
    """Require one of these programs; return the path of the first that is installed."""
    found = next(filter(None, map(shutil.which, names)), None)
    need(names[0], found, remedy)
    return str(found)


def need_git_lfs() -> None:
    """Require the program git-lfs."""
    need_program("git-lfs", remedy="apt-get install git-lfs")


def need_proc() -> None:
    """Require /proc, in which Linux lists processes."""
    need("/proc", os.path.exists("/proc/self/environ"), "Linux has it")  # noqa: PTH110


def need_runtime_environments() -> list[Path]:
    """The environments without TensorFlow, which only scripts/test_runtime makes, because that takes minutes."""
    given = os.environ.get("TF_TOKCLF_RUNTIME_ENVIRONMENTS", "")
    if not given:
        pytest.skip("scripts/test_runtime makes the environments and runs these tests", allow_module_level=True)
    return [Path(name) for name in given.split(":")]
