"""The bounds in setup.cfg, and the files that say which versions the tests run with."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

SCRIPTS = Path(__file__).parents[1] / "scripts"


def bounded(script: str) -> list[Requirement]:
    """What a script installs: the project with the extras that stand in it."""
    setup = ConfigParser()
    setup.read(SCRIPTS.parent / "setup.cfg", encoding="utf-8")
    found = re.search(r"^make_environment (\S+)$", (SCRIPTS / script).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, script
    extras = setup["options.extras_require"]
    lists = [setup["options"]["install_requires"], *(extras[name] for name in found[1].split(","))]
    lines = [line.strip() for text in lists for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pinned_in(name: str) -> dict[str, str]:
    """The versions in a file of constraints."""
    lines = (SCRIPTS / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(package): version for package, version in pairs}


@pytest.mark.parametrize("script", ["test", "lint"])
def test_what_the_tests_need_is_pinned(script: str):
    """Else the next release of a package decides whether they pass."""
    pinned = pinned_in("constraints.txt")
    for requirement in bounded(script):
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_lowest_versions_are_those_of_the_bounds():
    """Else a bound was changed and the file was not made anew."""
    pinned = pinned_in("constraints-lowest.txt")
    for requirement in bounded("test_lowest"):
        version = Version(pinned[canonicalize_name(requirement.name)])
        assert version in requirement.specifier, requirement
        lowest = next(Version(one.version) for one in requirement.specifier if one.operator in (">=", "=="))
        # The first release of a line may have another third number, or come later where wheels are missing.
        assert version.release[:1] == lowest.release[:1], (requirement, version)
