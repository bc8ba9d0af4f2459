"""Tools for contributors: the commit hooks, the release script, the map of the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import yaml

from tf_tokclf.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]


def test_the_hook_formats_as_the_checks_do():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]
    pinned = re.search(
        r"^ruff==(.*)$", (ROOT / "scripts" / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert pinned is not None
    assert hooks["rev"] == f"v{pinned[1]}"


def test_a_release_needs_a_version():
    script = [sys.executable, ROOT / "scripts" / "release", "next", "--dry-run"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: next is not a version such as 0.2.0.\n")


def test_folders_of_the_map_are_those_of_the_package():
    page = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    there = {path.parent.name for path in (ROOT / "tf_tokclf").glob("*/__init__.py")}
    assert there == {name for name in re.findall(r"`(\w+)/`", page) if (ROOT / "tf_tokclf" / name).is_dir()}
    named = re.findall(r"`((?:\w+/)+\w+\.py)`", page)
    roots = [ROOT, ROOT / "tf_tokclf", ROOT / "tf_tokclf" / "publishing" / "export"]
    missing = [name for name in named if not any((root / name).is_file() for root in roots)]
    assert not missing


def test_every_command_has_a_file_of_tests():
    there = {path.stem for path in (ROOT / "tests" / "cli").glob("test_*.py")}
    assert {f"test_{name.replace('-', '_')}" for name in COMMANDS} <= there


def test_no_function_of_the_package_is_longer_than_sixty_lines():
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [
        f"{path.name}: {node.name}"
        for path in (ROOT / "tf_tokclf").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, kinds) and node.end_lineno - node.lineno >= 60
    ]
    assert not long
