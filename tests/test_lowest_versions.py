"""The files of pinned versions fit the bounds in setup.cfg."""

from __future__ import annotations

import re
import sys
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.requirements import need

SCRIPTS = Path(__file__).parents[1] / "scripts"


# Packages whose lowest version is higher than the bound, because schemathesis requires it.
HIGHER = {"hypothesis", "rich"}


def extras_of(script: str) -> str:
    """The extras with which a script installs the project."""
    found = re.search(r"^make_environment (\S+)$", (SCRIPTS / script).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, script
    return found[1]


def required(extras: str) -> list[Requirement]:
    """The requirements of the project with these extras."""
    setup = ConfigParser()
    setup.read(SCRIPTS.parent / "setup.cfg", encoding="utf-8")
    of_extras = setup["options.extras_require"]
    lists = [setup["options"]["install_requires"], *(of_extras[name] for name in extras.split(","))]
    lines = [line.strip() for text in lists for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def bounded(script: str) -> list[Requirement]:
    """The requirements of the project with the extras that a script installs."""
    return required(extras_of(script))


def pinned_in(name: str) -> dict[str, str]:
    """The versions in a file of constraints."""
    lines = (SCRIPTS / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(package): version for package, version in pairs}


@pytest.mark.parametrize("script", ["test", "lint", "docs"])
def test_what_the_tests_need_is_pinned(script: str):
    """Otherwise the next release of a package could break them."""
    pinned = pinned_in("constraints.txt")
    for requirement in bounded(script):
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_lowest_versions_are_those_of_the_bounds():
    """This fails if a bound was changed and the file was not regenerated."""
    pinned = pinned_in("constraints-lowest.txt")
    for requirement in bounded("test_lowest"):
        version = Version(pinned[canonicalize_name(requirement.name)])
        assert version in requirement.specifier, requirement
        lowest = next(Version(one.version) for one in requirement.specifier if one.operator in (">=", "=="))
        # The first release of a line may have another third number, or come later where wheels are missing.
        n_numbers = 1 if requirement.name in HIGHER else 2
        assert _padded(version)[:n_numbers] == _padded(lowest)[:n_numbers], (requirement, version)


def _padded(version: Version) -> tuple[int, ...]:
    return (*version.release, 0, 0)


def needed(extras: str) -> set[str]:
    """The names of all packages that the project with these extras installs."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [(one.name, frozenset(one.extras)) for one in required(extras)]
    while waiting:
        name, with_extras = waiting.pop()
        if (canonicalize_name(name), with_extras) in found:
            continue
        found.add((canonicalize_name(name), with_extras))
        for line in distribution(name).requires or ():
            one = Requirement(line)
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in {*with_extras, ""}):
                waiting.append((one.name, frozenset(one.extras)))
    return {name for name, _ in found}


def test_nothing_is_pinned_that_nothing_installs():
    """Otherwise a package that is no longer used would stay in the file."""
    pinned = pinned_in("constraints.txt")
    try:
        installed = {canonicalize_name(one.name): distribution(one.name).version for one in bounded("test")}
    except PackageNotFoundError:
        installed = {}
    as_pinned = bool(installed) and all(pinned[name] == version for name, version in installed.items())
    need("the pinned versions", as_pinned and sys.version_info[:2] == (3, 11), "scripts/test, with Python 3.11")
    assert set(pinned) - needed(extras_of("test")) - needed(extras_of("lint")) == set()
