"""Output on terminals and in pipes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.processes import run_command
from tests.terminal import read_to_end
from tf_tokclf.report.terminal import key_value_table, stdout_console


def shown(rows: list[tuple[str, str]], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(key_value_table(rows))
    return console.file.getvalue().splitlines()


def test_no_line_ends_in_blanks():
    assert shown([("task", "ner"), ("", "more")], 80) == ["task  ner", "      more"]


def test_long_values_are_wrapped_in_their_column():
    rows = [("labels", "O, B-album, I-album, B-artist")]
    assert shown(rows, 28) == ["labels  O, B-album, I-album,", "        B-artist"]


def test_markup_and_control_characters_of_data_have_no_effect():
    assert shown([("data", "[bold]x\x1b[2J")], 40) == ["data  [bold]x\N{REPLACEMENT CHARACTER}[2J"]


def test_a_path_in_brackets_is_not_markup(capsys: pytest.CaptureFixture[str]):
    stdout_console.cache_clear()
    stdout_console().print("runs/[first]/model")
    assert capsys.readouterr().out == "runs/[first]/model\n"
    stdout_console.cache_clear()


def inspected_on_terminal(path: Path, *options: str, **environment: str) -> tuple[str, str]:
    """The standard output of `inspect PATH --json`, and what appears on the terminal that stderr is connected to."""
    terminal, stderr = os.openpty()
    code = "from tf_tokclf.cli.main import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "inspect", str(path), "--json", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment},
        check=True,
    )
    return result.stdout, read_to_end(terminal, stderr).decode()


def test_a_terminal_shows_what_a_command_is_doing(conll_files: dict[str, str]):
    stdout, shown = inspected_on_terminal(Path(conll_files["train_file"]), NO_COLOR="1")
    json.loads(stdout)
    assert "reading data ..." in shown
    # The line is erased when the work is done.
    assert "\x1b[2K" in shown


def test_quiet_hides_the_status_line(conll_files: dict[str, str]):
    stdout, shown = inspected_on_terminal(Path(conll_files["train_file"]), "--quiet")
    json.loads(stdout)
    assert shown == ""


def test_a_pipe_gets_no_status_line(conll_files: dict[str, str]):
    result = run_command("inspect", conll_files["train_file"], "--json")
    json.loads(result.stdout)
    assert "reading data ..." not in result.stderr
