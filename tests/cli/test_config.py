"""tf-tokclf config: check, fill, diff and schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_says_all_problems_of_all_files(folder: Path):
    (folder / "a.yaml").write_text("training: {seeed: 1}\noptimizer: {learning_rate: -1}\n", encoding="utf-8")
    (folder / "b.yaml").write_text("task: nre\n", encoding="utf-8")
    result = run("config", "check", "a.yaml", "b.yaml", "quickstart")
    assert result.exit_code == 2
    for said in ("training.seed?", "optimizer.learning_rate", "b.yaml, line 1: task", "quickstart: no problems"):
        assert said in result.stderr


def test_diff_names_settings_with_both_values():
    result = run("config", "diff", "wnut17", "wnut17-3epochs")
    assert result.stdout.splitlines() == [
        "output_dir: runs/wnut17 -> runs/wnut17-3epochs",
        "training.num_train_epochs: 2 -> 3",
    ]


def test_diff_of_one_is_against_the_defaults():
    assert "training.span_weight: auto -> 2.0" in run("config", "diff", "quickstart").stdout


def test_fill_says_the_same_as_the_file(tmp_path: Path):
    path = tmp_path / "filled.yaml"
    assert run("config", "fill", "long-documents", "-o", str(path)).exit_code == 0
    assert run("config", "diff", "long-documents", str(path)).stdout == ""


def test_the_json_schema_that_is_printed_is_the_one_that_is_shipped():
    from tf_tokclf.config.json_schema import SHIPPED_SCHEMA

    assert json.loads(run("config", "schema").stdout) == json.loads(SHIPPED_SCHEMA.read_text(encoding="utf-8"))


def test_the_json_schema_refuses_unknown_settings():
    schema = json.loads(run("config", "schema").stdout)
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["OptimizerConfig"]["properties"]["learning_rate"]["default"] == 5e-05


@pytest.mark.parametrize("command", [["init"], ["config", "fill", "quickstart"]])
def test_a_yaml_server_is_told_where_the_schema_is(command: list[str]):
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    line = next(line for line in run(*command).stdout.splitlines() if "yaml-language-server" in line)
    named = line.removeprefix("# yaml-language-server: $schema=")
    schema = json.loads(Path(url2pathname(urlsplit(named).path)).read_text(encoding="utf-8"))
    assert schema["title"] == "Configuration of tf-tokclf fit"
