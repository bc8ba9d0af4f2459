"""Shell completion, called as click's scripts call it."""

from __future__ import annotations

import pytest
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from tf_tokclf.cli.main import cli
from tf_tokclf.report.run_table import COLUMN_NAMES


def completions(args: list[str], incomplete: str) -> list[str]:
    shell = BashComplete(cli, {}, "tf-tokclf", "_TF_TOKCLF_COMPLETE")
    return [item.value for item in shell.get_completions(args, incomplete)]


def test_commands_are_completed():
    assert completions([], "e") == ["evaluate", "export"]


def test_options_are_completed():
    assert "--learning-rate" in completions(["fit"], "--lea")


def test_choices_are_completed():
    assert completions(["fit", "--task"], "") == ["ner", "pos", "chunk", "slots"]


def test_the_last_column_of_a_list_is_completed():
    completed = completions(["runs", "--columns"], "name,")
    assert {name.removeprefix("name,") for name in completed} == {*map(str.lower, COLUMN_NAMES), "f1"} - {"name"}
    assert completions(["runs", "--columns"], "encoder,t") == ["encoder,test-f1", "encoder,training-time"]


def test_inner_commands_are_completed():
    assert completions(["config"], "") == ["check", "diff", "fill", "schema"]
    assert completions(["cache"], "") == ["clear", "show"]
    assert completions(["cache", "clear"], "--") == ["--older-than", "--dry-run", "--help"]


@pytest.mark.parametrize(
    "args",
    [
        "fit",
        "fit --train-file",
        "inspect",
        "evaluate",
        "evaluate x --file",
        "predict x",
        "compare a",
        "convert a",
        "push",
        "config check",
        "init --data",
        "init -o",
    ],
)
def test_places_are_completed_by_the_shell(args: str):
    """With click's completion, shells no longer completed file names."""
    shell = BashComplete(cli, {}, "tf-tokclf", "_TF_TOKCLF_COMPLETE")
    assert [(item.type, item.value) for item in shell.get_completions(args.split(), "tr")] == [("file", "tr")]


@pytest.mark.parametrize("shell", [BashComplete, ZshComplete, FishComplete])
def test_each_shell_has_its_script(shell: type):
    assert "_TF_TOKCLF_COMPLETE" in shell(cli, {}, "tf-tokclf", "_TF_TOKCLF_COMPLETE").source_vars()["complete_var"]
