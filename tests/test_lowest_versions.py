"""The bounds in setup.cfg, and the file that says which versions are their lowest."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
EXTRAS = ("dev", "export", "serve", "sweep")


def bounded() -> list[Requirement]:
    """What scripts/test_lowest installs."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    lists = [setup["options"]["install_requires"], *(setup["options.extras_require"][name] for name in EXTRAS)]
    lines = [line.strip() for text in lists for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_the_lowest_versions_are_those_of_the_bounds():
    """Else a bound was changed and the file was not made anew."""
    lines = (ROOT / "scripts" / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    for requirement in bounded():
        version = Version(pinned[canonicalize_name(requirement.name)])
        assert version in requirement.specifier, requirement
        lowest = next(Version(one.version) for one in requirement.specifier if one.operator in (">=", "=="))
        # The first release of a line may have another third number, or come later where wheels are missing.
        assert version.release[:1] == lowest.release[:1], (requirement, version)
