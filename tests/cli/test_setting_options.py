"""The options for settings agree with the schema in every command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli
from tf_tokclf.cli.setting_options import SettingOption, given_settings
from tf_tokclf.config.flat_settings import plain, setting_values
from tf_tokclf.config.loading import check_config
from tf_tokclf.config.schema import Config
from tf_tokclf.config.shipped_schema import described_settings

WITH_LABELS = ("fit", "inspect", "evaluate", "compare", "convert", "export")
# Options whose usual name has another meaning in a command.
SPELLINGS = {
    ("evaluate", "data.format"): "--input-format",
    ("compare", "data.format"): "--input-format",
    ("export", "data.format"): "--file-format",
    ("convert", "data.format"): "--from",
}


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def command_named(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def settings_of(command: str, *args: str) -> dict[str, Any]:
    """The settings that a command line sets."""
    # Commands keep the help option of the first context that they are used in.
    group = click.Context(cli, **cli.context_settings)
    return given_settings(command_named(command).make_context(command, list(args), parent=group))


def options_of(command: str) -> dict[str, click.Parameter]:
    return {name: parameter for parameter in command_named(command).params for name in parameter.opts}


def test_the_shipped_schema_describes_every_setting_with_its_default():
    described = [(name, setting.default) for name, setting in described_settings().items()]
    assert described == list(setting_values(Config()).items())


@pytest.mark.parametrize("command", WITH_LABELS)
@pytest.mark.parametrize("name", [name for name, setting in described_settings().items() if setting.reads])
def test_a_command_that_reads_labelled_files_has_every_option_for_reading_them(command: str, name: str):
    spelling = SPELLINGS.get((command, name), described_settings()[name].names[0])
    option = options_of(command)[spelling]
    assert isinstance(option, SettingOption)
    assert option.setting == name


@pytest.mark.parametrize("name", [n for n, setting in described_settings().items() if setting.reads == "words"])
def test_predict_has_every_option_for_reading_words(name: str):
    assert described_settings()[name].names[0] in options_of("predict")


@pytest.mark.parametrize(
    ("command", "option", "choices"),
    [
        ("evaluate", "--format", ["table", "conlleval", "json", "markdown", "latex", "csv"]),
        ("compare", "--format", ["table", "json", "markdown", "latex", "csv"]),
        ("export", "--format", ["savedmodel", "tflite", "onnx"]),
        ("predict", "--on-error", ["stop", "keep"]),
    ],
)
def test_an_option_keeps_its_meaning_where_a_setting_has_the_same_name(command: str, option: str, choices: list[str]):
    kind = options_of(command)[option].type
    assert isinstance(kind, click.Choice)
    assert list(kind.choices) == choices


@pytest.mark.parametrize("name", [name for name, setting in described_settings().items() if setting.names])
def test_fit_has_every_option_with_its_default(name: str):
    setting = described_settings()[name]
    option = options_of("fit")[setting.names[0]]
    assert isinstance(option, SettingOption)
    assert set(option.opts) == set(setting.names)
    assert option.setting == name
    shown = re.search(r"\[default: (.*)\]", option.help or "")
    if not option.is_flag:
        assert (shown[1] if shown else "") == setting.default_text


def test_defaults_are_shown_as_they_are_typed():
    shown = {name: setting.default_text for name, setting in described_settings().items()}
    assert shown["optimizer.learning_rate"] == "chosen by --recipe"
    assert shown["optimizer.weight_decay"] == "0.01"
    assert shown["training.report_to"] == "tensorboard"
    assert shown["alignment.max_length"] == "the encoder's limit, at most 512"
    assert shown["data.format"] == "detected from name and content"
    assert shown["model.name_or_path"] == ""


@pytest.mark.parametrize(
    ("args", "settings"),
    [
        (["--overwrite-cache"], {"data.use_cache": False}),
        (["--force"], {"overwrite": True}),
        (["--no-header"], {"data.header": False}),
        (["--header"], {"data.header": True}),
        (["--fp16"], {"training.precision": "mixed_float16"}),
        (["--label-all-tokens"], {"alignment.strategy": "all-same"}),
        (["--alignment", "all", "--label-all-tokens"], {"alignment.strategy": "all-same"}),
        (["--label-column-name", "-1"], {"data.label_column_name": -1}),
        (["--annotations", "007"], {"data.annotations": "007"}),
        (["--report-to", "none"], {"training.report_to": ()}),
        (
            ["--max_seq_length=12", "--learning_rate", "1e-5"],
            {"alignment.max_length": 12, "optimizer.learning_rate": 1e-5},
        ),
        ([], {}),
    ],
)
def test_options_set_what_they_say(args: list[str], settings: dict[str, Any]):
    assert settings_of("fit", *args) == settings


def test_every_option_takes_the_default_of_its_setting():
    """The type and the default of an option agree."""
    for name, setting in described_settings().items():
        option = options_of("fit").get(setting.names[0]) if setting.names else None
        if option is None or option.is_flag or setting.default is None:
            continue
        text = ",".join(setting.default) if isinstance(setting.default, list) else str(setting.default)
        (value,) = settings_of("fit", setting.names[0], text).values()
        *sections, key = name.split(".")
        tree: dict[str, Any] = {key: value}
        for section in reversed(sections):
            tree = {section: tree}
        assert plain(setting_values(check_config(tree))[name]) == setting.default, name


def test_a_bad_choice_is_refused_with_the_choices():
    result = run("fit", "--hub-strategy", "sometimes")
    assert result.exit_code == 2
    assert "'sometimes' is not one of 'end', 'every_save', 'checkpoint', 'all_checkpoints', 'best'" in result.output


@pytest.fixture
def odd_files(tmp_path: Path) -> tuple[Path, Path]:
    """Gold labels that can only be read with options, and predictions for them."""
    gold = tmp_path / "gold.txt"
    gold.write_bytes("M\u00fcller;B-PER\nsah;O\nRom;B-LOC\n\n".encode("latin-1"))
    predicted = tmp_path / "predicted.jsonl"
    record = {"words": ["M\u00fcller", "sah", "Rom"], "predicted": ["B-PER", "O", "O"]}
    predicted.write_text(json.dumps(record) + "\n", encoding="utf-8")
    return gold, predicted


READ_ODD = ("--encoding", "latin-1", "--separator", ";", "--no-header")


def test_evaluate_reads_gold_labels_by_options(odd_files: tuple[Path, Path]):
    gold, predicted = odd_files
    spelt = ("--set", "data.encoding=latin-1", "--set", "data.separator=;", "--set", "data.header=false")
    scores = [
        json.loads(run("evaluate", "--predictions", predicted, "--gold", gold, "--format", "json", *how).stdout)
        for how in (READ_ODD, spelt)
    ]
    assert scores[0] == scores[1]
    assert scores[0]["overall"]["recall"] == 0.5


def test_compare_reads_gold_labels_by_options(odd_files: tuple[Path, Path]):
    gold, predicted = odd_files
    args = ("compare", f"a={predicted}", f"b={predicted}", "--gold", gold, "--format", "json", "--samples", "10")
    result = run(*args, *READ_ODD)
    assert result.exit_code == 0, result.output


def test_inspect_reads_by_options(tmp_path: Path):
    path = tmp_path / "a.conll"
    path.write_text("% a comment\nAda\tB-PER\nsaw\tO\nRome\tB-LOC\n\n", encoding="utf-8")
    result = run("inspect", path, "--comment-prefix", "% ", "--json")
    assert result.exit_code == 0, result.output
    assert "comment" not in json.dumps(json.loads(result.stdout).get("examples", ""))


def test_an_option_overrides_set(tmp_path: Path):
    path = tmp_path / "a.conll"
    path.write_text("Ada\tPROPN\n\n", encoding="utf-8")
    out = tmp_path / "out.jsonl"
    assert run("convert", path, out, "--set", "task=ner", "--task", "pos").exit_code == 0
    assert "pos_tags" in out.read_text(encoding="utf-8")
