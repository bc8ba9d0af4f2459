"""tf-tokclf runs: every run in the table, whatever is wrong with it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_lock import locked

EARLIER = Path(__file__).parent.parent / "data" / "earlier_run"


def runs(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["runs", str(folder), *options], catch_exceptions=False)


def listed(folder: Path, *options: str) -> dict[str, dict]:
    done = runs(folder, "--format", "json", *options)
    assert done.exit_code == 0, done.output
    return {run["name"]: run for run in json.loads(done.stdout)}


def add_run(root: Path, *, rate: float = 0.03, seed: int = 42, test: float = 0.5, kind: str = "finished") -> RunDir:
    """A run with other settings and scores."""
    run = RunDir(Path(shutil.copytree(EARLIER / kind, root)))
    text = run.config.read_text().replace("0.03", str(rate)).replace("training:\n", f"training:\n  seed: {seed}\n")
    run.config.write_text(text)
    if kind == "finished":
        results = json.loads(run.results.read_text())
        results["splits"]["test"]["overall"]["f1"] = test
        run.results.write_text(json.dumps({**results, "seed": seed}))
    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    add_run(root / "b", rate=1e-5, test=0.5)
    add_run(root / "inner" / "a", rate=0.01, test=0.25, seed=7)
    add_run(root / "c", rate=0.002, test=0.75)
    (root / "notes").mkdir()
    (root / "notes" / "todo.txt").write_text("nothing to see")
    return root


def test_every_run_is_listed_with_the_settings_that_differ(folder: Path):
    found = listed(folder)
    assert list(found) == ["b", "c", "inner/a"]
    assert {name: run["settings"] for name, run in found.items()} == {
        "b": {"optimizer.learning_rate": 1e-5},
        "c": {"optimizer.learning_rate": 0.002},
        "inner/a": {"optimizer.learning_rate": 0.01},
    }
    results = json.loads((folder / "c" / "results.json").read_text())
    assert found["c"]["f1"] == {name: values["overall"]["f1"] for name, values in results["splits"].items()}
    assert found["c"]["seconds"] == results["seconds"]
    assert (found["c"]["data"], found["c"]["encoder"], found["inner/a"]["seeds"]) == ("train.conll", "encoder", [7])
    assert {run["state"] for run in found.values()} == {"finished"}


def test_the_table_on_the_terminal(folder: Path):
    done = runs(folder)
    head, *rows = done.stdout.splitlines()
    assert head.split("  ")[0] == "name"
    for name in ("state", "learning_rate", "validation F1", "test F1", "training time", "date"):
        assert name in head
    assert [row.split()[0] for row in rows] == ["b", "c", "inner/a"]
    assert "75.00" in rows[1]


@pytest.mark.parametrize(
    ("column", "order"),
    [
        ("test F1", ["c", "b", "inner/a"]),
        ("test-f1", ["c", "b", "inner/a"]),
        ("learning_rate", ["b", "c", "inner/a"]),
        ("name", ["b", "c", "inner/a"]),
        ("seed", ["inner/a", "b", "c"]),
    ],
)
def test_sorting(folder: Path, column: str, order: list[str]):
    assert list(listed(folder, "--sort", column)) == order


def test_sorting_by_date_puts_the_newest_run_first(folder: Path):
    for age, name in enumerate(("inner/a", "c", "b")):
        os.utime(folder / name / "results.json", (10**9 - age, 10**9 - age))
    assert list(listed(folder, "--sort", "date")) == ["inner/a", "c", "b"]


def test_an_unknown_column_is_refused_and_the_known_ones_listed(folder: Path):
    done = runs(folder, "--sort", "F2")
    assert done.exit_code == 2
    message = " ".join(done.stderr.split())
    assert "--sort F2: there is no such column." in message
    assert "name, state, data, encoder, learning_rate, seed, validation F1, test F1, training time, date." in message


def test_csv_and_other_formats_have_the_same_rows(folder: Path):
    rows = list(csv.DictReader(io.StringIO(runs(folder, "--format", "csv").stdout)))
    assert {row["F1 definition"] for row in rows} == {"micro average; for several seeds, the mean"}
    assert [row["test F1 (percent)"] for row in rows] == ["50.00", "75.00", "25.00"]
    assert {row["mode"] for row in rows} == {"conlleval"}
    for format in ("markdown", "latex"):
        text = runs(folder, "--format", format).stdout
        assert all(value in text for value in ("50.00", "75.00", "25.00", "inner/a", "conlleval"))
    assert "learning\\_rate" in runs(folder, "--format", "latex").stdout


CHOSEN = ("--columns", "encoder, span-weight,optimizer.learning_rate,F1,encoder")


def test_chosen_columns_in_all_formats(folder: Path):
    head, *rows = runs(folder, *CHOSEN).stdout.splitlines()
    assert [name.strip() for name in head.split("  ") if name.strip()] == [
        *("encoder", "span_weight", "learning_rate", "validation F1", "test F1")
    ]
    assert [(row.split()[0], row.split()[2], row.split()[-1]) for row in rows] == [
        *(("encoder", "1e-05", "50.00"), ("encoder", "0.002", "75.00"), ("encoder", "0.01", "25.00"))
    ]
    names = list(csv.DictReader(io.StringIO(runs(folder, "--format", "csv", *CHOSEN).stdout)).fieldnames or ())
    assert names[:5] == ["encoder", "span_weight", "learning_rate", "validation F1 (percent)", "test F1 (percent)"]
    markdown = runs(folder, "--format", "markdown", *CHOSEN).stdout
    assert "| encoder | span_weight | learning_rate | validation F1 | test F1 |" in markdown
    latex = runs(folder, "--format", "latex", *CHOSEN).stdout
    assert "encoder & span\\_weight & learning\\_rate & validation F1 & test F1" in latex
    found = json.loads(runs(folder, "--format", "json", "--sort", "test-f1", *CHOSEN).stdout)
    assert [list(run) for run in found] == [["encoder", "settings", "f1"]] * 3
    assert [run["settings"]["optimizer.learning_rate"] for run in found] == [0.002, 1e-5, 0.01]


def test_the_setting_of_the_seed_is_the_column_seed(folder: Path):
    found = runs(folder, "--format", "markdown", "--columns", "training.seed,seed,name").stdout
    assert "| seed | name |" in found
    assert "| 7 | inner/a |" in found


def test_a_chosen_column_without_values_is_shown_and_facts_about_f1_only_beside_f1(tmp_path: Path):
    add_run(tmp_path / "stopped", kind="stopped")
    table = runs(tmp_path, "--format", "markdown", "--columns", "name,test-f1").stdout
    assert "| name | test F1 |" in table
    assert "F1 definition" in table
    assert "F1" not in runs(tmp_path, "--format", "markdown", "--columns", "name,date").stdout


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("encodr", "Did you mean encoder? The columns are: name, state,"),
        ("num_epochs", "Did you mean num_train_epochs?"),
        ("tst-f1", "Did you mean test F1?"),
        ("zzz", "The columns are: name, state,"),
    ],
)
def test_an_unknown_chosen_column_is_refused(folder: Path, typed: str, hint: str):
    done = runs(folder, "--columns", f"name,{typed}")
    assert done.exit_code == 2
    assert f"--columns {typed}: there is no such column. {hint}" in " ".join(done.stderr.split())
    assert runs(folder, "--columns", " , ").exit_code == 2


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


DAMAGES: dict[str, tuple[Callable[[RunDir], object], str]] = {
    "cut results": (lambda run: cut(run.results), "damaged: results.json (not valid JSON)"),
    "results of another kind": (lambda run: run.results.write_text("[1]"), "damaged: results.json"),
    "impossible scores": (
        lambda run: run.results.write_text(run.results.read_text().replace('"f1": 0.5', '"f1": 1e999')),
        "damaged: results.json (ValueError: inf is not a score)",
    ),
    "deep results": (lambda run: run.results.write_text("[" * 100_000), "damaged: results.json (not valid JSON)"),
    "results that are no text": (lambda run: run.results.write_bytes(b"\xff\xfe"), "damaged: results.json"),
    "no results": (lambda run: run.results.unlink(), "damaged: results.json is missing"),
    "no weights": (
        lambda run: (run.model / "model.safetensors").unlink(),
        "damaged: model/model.safetensors is missing",
    ),
    "no configuration": (lambda run: run.config.unlink(), "damaged: config.yaml is missing"),
    "bad configuration": (lambda run: run.config.write_text("a: [1"), "damaged: config.yaml"),
    "unknown setting": (lambda run: run.config.write_text("training: {sead: 1}"), "damaged: config.yaml"),
    "bad record": (lambda run: cut(run.finished), "damaged: finished.json"),
    "bad seeds": (lambda run: run.seeds.write_text('{"seeds": {"1": {}}}'), "damaged: seeds.json"),
    "no seeds": (lambda run: run.seeds.write_text('{"seeds": {}}'), "damaged: seeds.json"),
    "bad sweep": (lambda run: run.sweep.write_text("[]"), "damaged: sweep.json"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_listed_with_its_state(tmp_path: Path, damage: str):
    change, state = DAMAGES[damage]
    add_run(tmp_path / "whole")
    change(add_run(tmp_path / "broken"))
    found = listed(tmp_path)
    assert found["whole"]["state"] == "finished"
    assert found["broken"]["state"].startswith(state)
    for format in ("table", "csv", "latex", "markdown"):
        done = runs(tmp_path, "--format", format, "--sort", "test F1")
        assert done.exit_code == 0, done.output


def test_unfinished_and_running_runs(tmp_path: Path):
    stopped = add_run(tmp_path / "stopped", kind="stopped")
    best = max(json.loads(line)["dev_f1"] for line in stopped.history.read_text().splitlines())
    (tmp_path / "begun").mkdir()
    shutil.copy(stopped.config, tmp_path / "begun")
    found = listed(tmp_path)
    assert found["stopped"]["state"] == "stopped after 1 of 3 epochs"
    assert found["stopped"]["f1"] == {"validation": best}
    assert found["begun"]["state"] == "stopped before the first checkpoint"
    before = sorted(stopped.root.rglob("*"))
    with locked(stopped):
        assert listed(tmp_path)["stopped"]["state"] == "running"
        assert stopped.lock.exists()
    assert sorted(stopped.root.rglob("*")) == before


@pytest.fixture
def seeds(tmp_path: Path) -> RunDir:
    """A folder of two seeds."""
    root = add_run(tmp_path / "runs" / "seeds", seed=2, test=0.5)
    add_run(root.of_seed(1).root, seed=1, test=0.25)
    add_run(root.of_seed(2).root, seed=2, test=0.5)
    scores = {"1": {"f1": {"validation": 0.5, "test": 0.25}}, "2": {"f1": {"validation": 1.0, "test": 0.5}}}
    root.seeds.write_text(json.dumps({"seeds": scores, "median": 2}))
    return root


def test_several_seeds_are_one_run_with_the_mean(seeds: RunDir):
    (run,) = listed(seeds.root.parent).values()
    assert (run["name"], run["state"], run["seeds"]) == ("seeds", "finished, mean of 2 seeds", [1, 2])
    assert run["f1"] == {"validation": 0.75, "test": 0.375}
    assert run["seconds"] == pytest.approx(2 * json.loads(seeds.results.read_text())["seconds"])
    assert list(listed(seeds.root.parent, "--all")) == ["seeds", "seeds/seed-1", "seeds/seed-2"]
    assert list(listed(seeds.root)) == ["seeds", "seed-1", "seed-2"]


def test_a_sweep_is_its_best_trial(tmp_path: Path):
    root = add_run(tmp_path / "sweep")
    assert listed(tmp_path)["sweep"]["state"] == "finished"
    for number, rate in enumerate((0.01, 0.02)):
        add_run(root.of_trial(f"{number:03d}").root, rate=rate)
    root.sweep.write_text(json.dumps({"trials": {"000": {}, "001": {}}}))
    assert [(name, run["state"]) for name, run in listed(tmp_path).items()] == [("sweep", "finished, best of 2 trials")]
    assert list(listed(root.root)) == ["sweep", "trials/000", "trials/001"]
    for path in (root.results, root.finished):
        path.unlink()
    assert listed(tmp_path)["sweep"]["state"] == "sweep stopped after 2 trials"


def test_a_folder_without_runs_and_one_that_is_missing(tmp_path: Path):
    done = runs(tmp_path)
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"There are no runs in {tmp_path}" in " ".join(done.stderr.split())
    assert runs(tmp_path, "--format", "json").stdout == "[]\n"
    done = runs(tmp_path / "absent")
    assert done.exit_code == 2
    assert "absent: this folder does not exist." in " ".join(done.stderr.split())


def test_links_in_a_circle_end(folder: Path):
    (folder / "inner" / "again").symlink_to(folder)
    assert list(listed(folder)) == ["b", "c", "inner/a"]


def test_it_needs_neither_tensorflow_nor_numpy(folder: Path):
    code = (
        "import sys; from tf_tokclf.cli.main import cli;"
        f"cli(['runs', {str(folder)!r}], standalone_mode=False);"
        "sys.exit(bool({'tensorflow', 'tf_keras', 'transformers', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0
