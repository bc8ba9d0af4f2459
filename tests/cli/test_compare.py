"""tf-tokclf compare: what it prints, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from tf_tokclf.cli.main import cli

SAMPLES = Path(__file__).parent.parent / "data" / "scoring"
ARCADA, SPINNINGBYTES = (str(SAMPLES / f"wnut17_{name}.tsv") for name in ("arcada", "spinningbytes"))


def run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def test_compare_prints_differences_that_fit_80_columns():
    text = run("compare", SPINNINGBYTES, f"second={ARCADA}", "--samples", "200")
    assert "second" in text
    assert "Only second is right in " in text
    table = text[: text.index("Only ")]
    assert all(len(line) <= 80 for line in table.splitlines())


def test_compare_says_how_several_runs_are_compared():
    systems = f"first={ARCADA},{SPINNINGBYTES}", f"second={SPINNINGBYTES},{ARCADA},{ARCADA}"
    text = run("compare", *systems, "--samples", "9")
    assert "second has the higher F1 in 1 of 6 pairs of runs" in text
    assert "Counts are averaged over the runs of a system, sentence by sentence." in text
    assert all(len(line) <= 80 for line in text[text.index("system ") :].splitlines())
    assert "pairs of runs" not in run("compare", ARCADA, SPINNINGBYTES, "--samples", "50")


def test_compare_of_a_system_with_itself_gives_p_of_one():
    result = json.loads(run("compare", ARCADA, ARCADA, "--format", "json"))
    assert result["differences"][0]["overall"]["p"] == 1


def test_compare_writes_json_and_replaces_nothing_unasked(tmp_path):
    output = tmp_path / "comparison.json"
    run("compare", ARCADA, SPINNINGBYTES, "--output", str(output), "--samples", "50")
    assert len(json.loads(output.read_text())["systems"]) == 2
    assert "--force" in run("compare", ARCADA, SPINNINGBYTES, "--output", str(output), code=2)


def test_compare_names_what_is_missing():
    assert "neither a run nor a file" in run("compare", ARCADA, "nowhere", code=2)
    assert "no label scheme" in run("compare", ARCADA, ARCADA, "--scheme", "ABC", code=2)


def test_scoring_files_loads_no_tensorflow():
    code = (
        "import sys; from click.testing import CliRunner; from tf_tokclf.cli.main import cli;"
        f"r = CliRunner().invoke(cli, ['compare', {ARCADA!r}, {ARCADA!r}, '--samples', '9']);"
        f"e = CliRunner().invoke(cli, ['evaluate', '--predictions', {ARCADA!r}]);"
        "sys.exit(r.exit_code or e.exit_code or int('tensorflow' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
