"""scripts/environment: which Python it takes, and what it does with an environment that cannot be used."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "environment"
NEEDED = "TensorFlow 2.21 needs CPython 3.11, 3.12 or 3.13"
MARK = "installed"


def prepare(venv: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the part of the script that creates the environment, without installing anything into it."""
    return subprocess.run(
        ["bash", "-c", f"source {shlex.quote(str(SCRIPT))}; prepare_environment"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": sys.executable, "TF_TOKCLF_VENV": str(venv), **environment},
    )


def program(path: Path, code: str) -> Path:
    """A shell script."""
    path.write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def refused(venv: Path, **environment: str) -> str:
    """The only line that the script prints before it stops."""
    done = prepare(venv, **environment)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line.removeprefix("Error: ")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment without pip, as uv makes them."""
    folder = tmp_path / "of a user"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


def test_a_missing_python_is_named(tmp_path: Path):
    assert refused(tmp_path / "v", PYTHON="python3.99") == (
        "PYTHON=python3.99: there is no such program, or it is not executable."
    )


@pytest.mark.parametrize("code", ["exit 1", "echo hello", "exec cat"])
def test_another_program_is_not_taken_for_python(code: str, tmp_path: Path):
    other = program(tmp_path / "other", code)
    assert refused(tmp_path / "v", PYTHON=str(other)) == f"PYTHON={other} is not a working Python 3 interpreter."


@pytest.mark.parametrize("version", ["cpython 3.10", "cpython 3.14", "pypy 3.11"])
def test_a_python_that_does_not_fit_is_refused_with_its_version(version: str, tmp_path: Path):
    other = program(tmp_path / "other", f"echo {version}")
    assert refused(tmp_path / "v", PYTHON=str(other)) == f"PYTHON={other} is {version}, but {NEEDED}."


def test_without_any_python_that_fits_all_is_said_in_one_line(tmp_path: Path):
    for name in ("python3.11", "python3.12", "python3.13", "python3"):
        program(tmp_path / name, "echo cpython 3.9")
    line = refused(tmp_path / "v", PYTHON="", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert line.startswith(f"{NEEDED}; found cpython 3.9. Install one of them, or name it: PYTHON=")


def test_debian_without_its_package_for_environments_is_told_what_to_install(tmp_path: Path):
    """There, Python has no module ensurepip, and `python3 -m venv` leaves half an environment behind."""
    debian = program(
        tmp_path / "python", f'case "$2" in *ensurepip*) exit 1;; esac\nexec {shlex.quote(sys.executable)} "$@"'
    )
    number = ".".join(map(str, sys.version_info[:2]))
    line = refused(tmp_path / "v", PYTHON=str(debian))
    assert line.endswith(f"venv and ensurepip are missing. On Debian and Ubuntu: sudo apt install python{number}-venv")
    assert not (tmp_path / "v").exists()


def test_pip_is_added_to_an_environment_without_it(venv: Path):
    done = prepare(venv)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([venv / "bin" / "python", "-m", "pip", "--version"], capture_output=True).returncode == 0


def test_an_environment_whose_python_is_gone_is_reported(venv: Path):
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/nowhere/python3.11")
    line = refused(venv)
    assert line.startswith(
        f"{venv} has no working Python: the one it was made with is gone. Remove it, or name another"
    )


def test_an_environment_of_the_scripts_whose_python_is_gone_is_made_again(venv: Path):
    (venv / "bin" / "python").unlink()
    (venv / MARK).touch()
    done = prepare(venv)
    assert done.returncode == 0, done.stderr
    assert "is gone. Making it again ..." in done.stderr
    assert subprocess.run([venv / "bin" / "python", "-c", "import pip"]).returncode == 0
    assert not (venv / MARK).exists()


@pytest.mark.parametrize("version", ["cpython 3.10", "cpython 3.14"])
def test_an_environment_of_another_python_is_reported(version: str, venv: Path):
    (venv / "bin" / "python").unlink()
    program(venv / "bin" / "python", f"echo {version}")
    assert refused(venv).startswith(f"{venv} has {version}, but {NEEDED}. Remove it")


def test_an_environment_of_another_python_than_the_one_asked_for_is_reported(venv: Path, tmp_path: Path):
    asked, there = (
        f"cpython 3.{minor}" for minor in ((12, 11) if sys.version_info[1] == 11 else (11, sys.version_info[1]))
    )
    other = program(tmp_path / "other", f"echo {asked}")
    assert refused(venv, PYTHON=str(other)).startswith(f"{venv} has {there}, but PYTHON={other} is {asked}. Remove it")


def test_a_moved_environment_is_made_again(venv: Path, tmp_path: Path):
    (venv / MARK).write_text(f"stamp\n{venv}\n", encoding="utf-8")
    assert "Making it again" not in prepare(venv).stderr
    moved = venv.rename(tmp_path / "elsewhere")
    assert "was moved, and programs in it start with its old path. Making it again ..." in prepare(moved).stderr


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path: Path):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.tex").touch()
    assert refused(tmp_path / "papers").startswith(f"{tmp_path / 'papers'} is not a virtual environment. Remove it")
    assert (tmp_path / "papers" / "thesis.tex").exists()
