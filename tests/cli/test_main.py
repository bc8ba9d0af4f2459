"""The command as a whole: start-up time, output, and error messages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import COMMANDS, OTHER_NAMES, cli


def run(*args: str, **options: object) -> Result:
    return CliRunner().invoke(cli, list(args), **options)


INNER = [(name, inner) for name in ("config", "cache") for inner in cli.get_command(None, name).commands]
HEAVY = {"tensorflow", "tf_keras", "transformers", "datasets", "sklearn", "pyarrow", "matplotlib", "pydantic", "yaml"}
SHOW_HELP = """
import contextlib, io, sys
from tf_tokclf.cli.main import cli
for args in {commands!r}:
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        cli(args)
    assert shown.getvalue().startswith("Usage:"), args
    assert not {heavy!r} & set(sys.modules), args
"""


def test_help_loads_nothing_heavy():
    """The options are built from a JSON file, because importing pydantic takes longer than the rest of the help."""
    commands = [["--help"], *([*names, "--help"] for names in [*((name,) for name in COMMANDS), *INNER])]
    code = SHOW_HELP.format(commands=commands, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_has_help():
    for name in COMMANDS:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert result.output.startswith("Usage:")


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        *(("evalaute", "evaluate"), ("FIT", "fit"), ("predcit", "predict"), ("train", "fit"), ("trian", "fit")),
        *(("test", "evaluate"), ("tag", "predict"), ("upload", "push"), ("stats", "inspect"), ("server", "serve")),
    ],
)
def test_an_unknown_command_is_told_the_one_that_may_be_meant(name: str, suggested: str):
    result = run(name)
    assert result.exit_code == 2
    assert f"There is no command {name!r}. Did you mean {suggested}?" in result.output


def test_a_command_unlike_all_others_gets_no_suggestion():
    result = run("xyzzy")
    assert result.exit_code == 2
    assert "There is no command 'xyzzy'.\n" in result.output


def test_other_names_lead_to_commands():
    assert {*OTHER_NAMES.values()} <= {*COMMANDS}
    assert not {*OTHER_NAMES} & {*COMMANDS}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fit"], "no training data: give --train-file or --dataset-name"),
        (["fit", "nothing.yaml"], "nothing.yaml: there is no such configuration file"),
        (["fit", "--set", "training.seed"], "there is no '='"),
        (["fit", "--set", "training.sead=1"], "Did you mean training.seed?"),
        (["evaluate", "no/such/model"], "also name a labelled file with --file"),
        (["predict", "./nothing"], "there is no model folder ./nothing"),
        (["predict", "package:nothing/x"], "no installed package named 'nothing'"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(args: list[str], message: str, tmp_path: Path):
    result = run(*args, input="")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_a_whole_run_by_options_then_evaluate_and_predict(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    output = tmp_path / "run"
    files = [arg for name, path in conll_files.items() for arg in (f"--{name.replace('_', '-')}", path)]
    options = ["--learning-rate", "3e-3", "--num-train-epochs", "3", "--per-device-train-batch-size", "4"]
    fitted = run(
        "fit", *files, "--recipe=none", "--model-name-or-path", str(tiny_bert), "--output-dir", str(output), *options
    )
    assert fitted.exit_code == 0, fitted.stderr
    assert "all (micro average)" in fitted.stdout
    measured = r"precision \d+\.\d\d, recall \d+\.\d\d, F1 \d+\.\d\d, .*\d s"
    losses = r"training loss \d\.\d{4}, validation loss \d\.\d{4}"
    assert re.search(rf"^epoch 3/3: {losses}, {measured}$", fitted.stderr, re.M)
    assert re.search(r"^best epoch: [123], validation F1 \d+\.\d\d$", fitted.stderr, re.M)

    scored = run("evaluate", str(output), "--output", str(tmp_path / "scores.json"))
    assert scored.exit_code == 0, scored.stderr
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores["overall"] == json.loads((output / "results.json").read_text())["splits"]["test"]["overall"]

    text = "ada lovelace visited london ."
    predicted = run("predict", str(output), input=f"{text}\n")
    assert predicted.exit_code == 0, predicted.stderr
    (line,) = map(json.loads, predicted.stdout.splitlines())
    assert line["text"] == text
    assert {(span["type"], text[span["start"] : span["end"]]) for span in line["spans"]} == {
        ("PER", "ada lovelace"),
        ("LOC", "london"),
    }
    refused = run("evaluate", str(output), "--output", str(tmp_path / "scores.json"))
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
