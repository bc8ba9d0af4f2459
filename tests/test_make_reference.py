"""The files that scripts/make_reference generates are current, and each command has its page."""

from __future__ import annotations

import doctest
import runpy
from pathlib import Path

import pytest

from tests.documentation import blocks, is_ours, pipelines
from tf_tokclf.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "reference" / "commands"
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "make_reference"))


def test_generated_files_are_current():
    stale = [
        str(path.relative_to(ROOT))
        for path, text in SCRIPT["references"]().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run scripts/make_reference"


def test_charts_are_drawn_from_the_current_numbers():
    charts = runpy.run_path(str(ROOT / "scripts" / "dev" / "charts"))["CHARTS"]
    stale = [chart.name for chart in charts if chart.file.read_text(encoding="utf-8") != chart.drawn()]
    assert stale == [], "run scripts/dev/charts"


def test_each_command_has_one_page():
    assert {path.stem for path in PAGES.glob("*.md")} == {*COMMANDS, "index"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_a_command_opens_with_examples_of_it(name: str):
    page = PAGES / f"{name}.md"
    first = blocks(page, "bash", "text")[0]
    assert first.language == "bash"
    assert first.line < 10
    ours = [command for pipeline in pipelines(first) for command in pipeline.commands if is_ours(command)]
    assert ours
    assert {command[1] for command in ours} == {name}


def test_examples_in_the_script_hold():
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    for name in ("extras", "range_in_words"):
        for test in finder.find(SCRIPT[name], name, globs=SCRIPT):
            runner.run(test)
    assert (runner.tries, runner.failures) == (2, 0)
