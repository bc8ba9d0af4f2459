"""Names and values on the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tf_tokclf.report.terminal import key_value_table, stdout_console


def shown(rows: list[tuple[str, str]], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(key_value_table(rows))
    return console.file.getvalue().splitlines()


def test_no_line_ends_in_blanks():
    assert shown([("task", "ner"), ("", "more")], 80) == ["task  ner", "      more"]


def test_long_values_go_on_below_themselves():
    rows = [("labels", "O, B-album, I-album, B-artist")]
    assert shown(rows, 28) == ["labels  O, B-album, I-album,", "        B-artist"]


def test_markup_and_control_characters_of_data_are_shown_not_obeyed():
    assert shown([("data", "[bold]x\x1b[2J")], 40) == ["data  [bold]x\N{REPLACEMENT CHARACTER}[2J"]


def test_a_path_in_brackets_is_no_markup(capsys: pytest.CaptureFixture[str]):
    stdout_console.cache_clear()
    stdout_console().print("runs/[first]/model")
    assert capsys.readouterr().out == "runs/[first]/model\n"
    stdout_console.cache_clear()
