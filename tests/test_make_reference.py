"""The files that scripts/make_reference generates are current, and each command has its page."""

from __future__ import annotations

import doctest
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documentation import blocks, is_ours, pipelines
from tf_tokclf.cli.main import COMMANDS
from tf_tokclf.config.json_schema import schema_text
from tf_tokclf.config.shipped import SHIPPED_SCHEMA

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "reference" / "commands"
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "make_reference"))


def test_generated_files_are_current():
    schema = {SHIPPED_SCHEMA: schema_text()}
    stale = [
        str(path.relative_to(ROOT))
        for path, text in (schema | SCRIPT["references"]()).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run scripts/make_reference"


def test_the_schema_of_a_new_setting_is_written_before_the_pages(tmp_path: Path):
    """The pages are made from the shipped schema. They ended with a KeyError for a setting that it did not contain."""
    copy = tmp_path / "copy"
    for folder in ("tf_tokclf", "docs", "scripts"):
        left_out = shutil.ignore_patterns("__pycache__", "*.png", "*.svg", "benchmarks")
        shutil.copytree(ROOT / folder, copy / folder, ignore=left_out)
    schema = copy / SHIPPED_SCHEMA.relative_to(ROOT)
    known = json.loads(schema.read_text(encoding="utf-8"))
    del known["$defs"]["TrainingConfig"]["properties"]["seed"]
    schema.write_text(json.dumps(known), encoding="utf-8")
    script = [sys.executable, str(copy / "scripts" / "make_reference")]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    checked = subprocess.run([*script, "--check"], capture_output=True, text=True, env=environment)
    assert (checked.returncode, checked.stdout) == (1, f"{SHIPPED_SCHEMA.relative_to(ROOT)}\n"), checked.stderr
    written = subprocess.run(script, capture_output=True, text=True, env=environment)
    assert (written.returncode, written.stdout) == (0, f"{SHIPPED_SCHEMA.relative_to(ROOT)}\n"), written.stderr
    assert schema.read_text(encoding="utf-8") == SHIPPED_SCHEMA.read_text(encoding="utf-8")


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
