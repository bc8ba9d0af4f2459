"""tf-tokclf compare: what it prints, and what it refuses."""

from __future__ import annotations

import csv
import io
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


def test_compare_as_tables():
    """Two systems, the second of them with two runs."""
    systems = (SPINNINGBYTES, f"two={ARCADA},{SPINNINGBYTES}")
    args = ("compare", *systems, "--samples", "200", "--quiet", "--format")
    found = json.loads(run(*args, "json"))
    rows = list(csv.DictReader(io.StringIO(run(*args, "csv"))))
    by_type = {(row["system"], row["type"]): row for row in rows}
    assert len(by_type) == len(rows) == 2 * (1 + len(found["systems"][0]["by_type"]))
    (difference,) = found["differences"]
    for system in found["systems"]:
        spreads = {**system["by_type"], "all (micro average)": system["f1"]}
        for name, spread in spreads.items():
            row = by_type[system["name"], name]
            assert row["F1 (percent)"] == f"{100 * spread['mean']:.2f}"
            deviation = spread["standard_deviation"]
            expected = "" if deviation is None else f"{100 * deviation:.2f}"
            assert row["standard deviation of F1 (percent)"] == expected
            assert row["runs"] == str(len(spread["runs"]))
    for name, one in {**difference["by_type"], "all (micro average)": difference["overall"]}.items():
        row = by_type["two", name]
        assert row["difference (percentage points)"] == f"{100 * one['difference']:.2f}"
        assert row["95 % interval of the difference from (percentage points)"] == f"{100 * one['interval'][0]:.2f}"
        assert row["p"] == f"{one['p']:.4f}"
        assert by_type[found["systems"][0]["name"], name]["p"] == ""
    for format in ("markdown", "latex"):
        text = run(*args, format)
        assert "two-sided paired permutation test" in text
        assert f"{100 * difference['overall']['difference']:+.2f}" in text


def test_compare_prints_differences_that_fit_80_columns():
    text = run("compare", SPINNINGBYTES, f"second={ARCADA}", "--samples", "200")
    assert "second" in text
    assert "Only second is right in " in text
    table = text[: text.index("Only ")]
    assert all(len(line) <= 80 for line in table.splitlines())


def test_compare_prints_long_names_of_types_on_one_line(tmp_path):
    types = ("condition_description", "condition_temperature", "spatial_relation_of_two")  # up to 23 characters
    for name, n_wrong in (("one", 1), ("other_system", 2)):
        lines = [
            f"word\tB-{type_}\t{'O' if i % 3 < n_wrong else f'B-{type_}'}\n\n" for type_ in types for i in range(9)
        ]
        (tmp_path / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
    text = run("compare", str(tmp_path / "one.tsv"), str(tmp_path / "other_system.tsv"), "--samples", "50")
    table = text[text.index("F1 by type") : text.index("difference: ")]
    assert all(len(line) <= 80 for line in table.splitlines())
    rows = [line.split() for line in table.splitlines() if line.startswith(types)]
    assert [(row[0], row[3]) for row in rows] == [(type_, "-30.00") for type_ in types]
    assert "difference: F1 of the second system in the table minus F1 of the first" in text


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


def test_requirements_on_differences(tmp_path: Path):
    junit = tmp_path / "junit.xml"
    args = ["compare", SPINNINGBYTES, f"a={ARCADA}", f"b={SPINNINGBYTES}", "--samples", "200", "--format", "json"]
    gap = "f1.difference>=0"
    required = ["--require", gap, "--require", "f1.difference.low>=-0.9", "--junit", str(junit)]
    done = CliRunner().invoke(cli, [*args, *required])
    found = json.loads(done.stdout)
    difference = found["differences"][0]["overall"]["difference"]
    assert difference < 0
    assert done.exit_code == 1
    assert [(one["system"], one["value"], one["met"]) for one in found["requirements"][:2]] == [
        ("a", difference, False),
        ("b", 0.0, True),
    ]
    assert "1 of 4 requirements not met" in done.stderr
    assert [line.split() for line in done.stderr.splitlines() if "a " in line and gap in line] == [
        [gap, "a", f"{difference:.4f}"]
    ]
    assert 'failures="1"' in junit.read_text()
    assert CliRunner().invoke(cli, [*args[:2], args[3], "--samples=9", "--require=f1.difference>=0"]).exit_code == 0
    wrong = CliRunner().invoke(cli, [*args, "--require", "f1.diff>=0"])
    assert wrong.exit_code == 2
    assert "there is no value 'f1.diff' (there are f1.difference" in " ".join(wrong.stderr.split())
