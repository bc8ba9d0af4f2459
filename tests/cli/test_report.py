"""tf-tokclf report: the page of a run, and the page that compares several."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.prediction_files import write_predictions
from tests.report.runs import NASTY, make_run
from tests.report.test_run_page import Outline
from tf_tokclf.cli.main import cli
from tf_tokclf.labels.sentence import Origin
from tf_tokclf.report.run_page import report_html
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.comparison import compare_systems
from tf_tokclf.scoring.evaluation import evaluate_file
from tf_tokclf.scoring.predictions import Prediction


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, args)], catch_exceptions=False)


def change_predictions(made: RunDir) -> None:
    """Correct every third sentence, and empty every seventh."""
    path = made.predictions_for("test")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        if number % 3 == 0:
            row["predicted"] = row["gold"]
        if number % 7 == 0:
            row["predicted"] = ["O"] * len(row["gold"])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, RunDir]:
    """Two runs with other predictions, the second with a name that is HTML."""
    root = tmp_path_factory.mktemp("runs")
    first, second = make_run(root / "first"), make_run(root / "<b>second<" / "x")
    change_predictions(second)
    second.config.write_text(second.config.read_text() + "optimizer: {learning_rate: 0.001}\n")
    return first, second


@pytest.fixture(scope="module")
def written(runs: tuple[RunDir, RunDir], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "comparison.html"
    first, second = runs
    done = run("--compare", f"one={first.root}", f"{NASTY}={second.root}", "--samples", 200, "--output", path)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{path}\n"
    return path


@pytest.fixture(scope="module")
def page(written: Path) -> Outline:
    return Outline(written.read_text(encoding="utf-8"))


def test_the_comparison_fetches_nothing_and_runs_nothing(page: Outline):
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "form", "a", "b2"}
    for _, attributes in page.elements:
        assert not {"src", "href", "srcset"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(a["content"] for a in page.named("meta") if a.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_names_and_words_are_text(page: Outline):
    assert f"one, {NASTY}" in page.text
    assert f"See {NASTY}" in page.text


def test_the_differences_are_those_of_compare(page: Outline, runs: tuple[RunDir, RunDir]):
    first, second = runs
    found = compare_systems([f"one={first.root}", f"two={second.root}"], n_samples=200).to_json()
    (difference,) = found["differences"]
    for name, one in {**difference["by_type"], "all (micro average)": difference["overall"]}.items():
        low, high = one["interval"]
        a, b = (f"{100 * f1:.2f}" for f1 in one["f1"])
        cells = f"{100 * one['difference']:+.2f} {100 * low:+.2f} to {100 * high:+.2f} {one['p']:.4f}"
        assert f"{name} {a} {b} {cells}" in page.text


def test_curves_and_settings_of_both_runs(page: Outline):
    charts = [attributes for attributes in page.named("svg") if attributes.get("class") == "chart"]
    assert len(charts) == 3
    assert charts[0]["aria-label"].startswith("Validation F1 by epoch. one: 60.00, 70.00, 80.00, 90.00.")
    assert "optimizer.learning_rate 5e-05 0.001" in page.text


def test_the_sentences_that_changed(page: Outline, runs: tuple[RunDir, RunDir]):
    rows = [
        [json.loads(line) for line in made.predictions_for("test").read_text(encoding="utf-8").splitlines()]
        for made in runs
    ]
    right = [[row["predicted"] == row["gold"] for row in each] for each in rows]
    n_second = sum(b and not a for a, b in zip(*right))
    n_first = sum(a and not b for a, b in zip(*right))
    n_both = sum(
        not a and not b and ours["predicted"] != theirs["predicted"] for a, b, ours, theirs in zip(*right, *rows)
    )
    assert min(n_first, n_second, n_both) > 0
    for heading, n in ((f"Only {NASTY} is right", n_second), ("Only one is right", n_first)):
        assert f"{heading} {n} sentences" in page.text
    assert f"Both are wrong, in different ways {n_both} sentence" in page.text
    shown = sum(min(n, 25) for n in (n_first, n_second, n_both))
    assert len([a for a in page.named("article") if a.get("class") == "example"]) == shown


def test_equal_systems_and_files_of_predictions(runs: tuple[RunDir, RunDir], tmp_path: Path):
    path = runs[0].predictions_for("validation")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(path.read_bytes())
    done = run("--compare", f"a={path}", f"b={copy}", "--samples", 9, "-o", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    text = Outline((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "Both find the same spans in every sentence." in text
    # The copy has no run around it, and so no curve.
    assert "Validation F1" in text


def test_the_page_of_a_run_is_the_one_of_fit(runs: tuple[RunDir, RunDir], tmp_path: Path):
    first, _ = runs
    before = sorted(first.root.rglob("*"))
    done = run(first.root, "--output", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == report_html(first)
    assert sorted(first.root.rglob("*")) == before


def test_slices_have_intervals_and_a_mark_if_they_are_worse(tmp_path: Path):
    """Spans of the second domain, whose name is HTML, are missed."""
    made = make_run(tmp_path / "run")
    rows = [("news", "B-X")] * 60 + [(NASTY, "O" if i % 3 else "B-X") for i in range(60)]
    data = tmp_path / "test.jsonl"
    records = [{"tokens": ["a", "b"], "ner_tags": ["B-X", "O"], "domain": domain} for domain, _ in rows]
    data.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    predictions = [
        Prediction(("a", "b"), (label, "O"), gold=("B-X", "O"), origin=Origin(str(data), number))
        for number, (_, label) in enumerate(rows, 1)
    ]
    write_predictions(made.predictions_for("test"), predictions)
    made.config.write_text(f"data: {{test_file: {data}}}\n")
    assert run(made.root, "--by", "domain", "--by", "length", "-o", tmp_path / "page.html").exit_code == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text
    shown = Outline(text).text
    scored = evaluate_file(made.predictions_for("test"), by=("domain",)).to_json()["slices"]["domain"]
    assert scored["news"]["f1"] == 1
    for name, mark in (("news", ""), (NASTY, " ▼ worse")):
        f1, interval = (
            scored[name]["f1"],
            " – ".join(f"{100 * end:.2f}" for end in scored[name]["f1_interval"]),
        )
        assert f"{name}{mark} {100 * f1:.2f} {interval} 100.00" in shown
    assert "By length" in shown
    assert "Slices" not in Outline(report_html(made)).text


def test_with_its_training_data_a_run_has_scores_of_known_spans(tmp_path: Path):
    made = make_run(tmp_path / "run")
    (tmp_path / "train.conll").write_text("Rome\tB-LOC\n\nOslo\tB-ORG\n", encoding="utf-8")
    train = tmp_path / "train.conll"
    made.config.write_text(f"data: {{train_file: {train}, validation_file: {train}}}\n")
    assert run(made.root, "-o", tmp_path / "page.html").exit_code == 0
    assert "By surface form in training" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (tmp_path / "train.conll").unlink()
    done = run(made.root, "-o", tmp_path / "page.html", "--force")
    assert done.exit_code == 0, done.output
    assert "does not show scores by whether a span occurs in the training data" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["{first}", "{second}"], "Pass --compare to compare several."),
        (["nowhere"], "nowhere: this folder does not exist. Name the folder of a run."),
        (["{empty}"], "contains no results of a run."),
        (["--compare", "{first}"], "There is nothing to compare with."),
        (["{first}", "-o", "{first}/results.json", "--force"], "writing it would destroy the input"),
        (["--compare", "{first}", "{second}", "-o", "{first}/predictions/test.jsonl", "--force"], "would destroy"),
        (["{first}", "-o", "{first}/config.yaml"], "config.yaml"),
        (["--compare", "{first}", "{second}", "--by", "length"], "--by is for the page of one run. Omit --compare."),
        (["{first}", "--by", "domian", "-o", "{first}/a.html"], "there is no column 'domian'"),
        (["{unscored}", "--by", "length", "-o", "{first}/a.html"], "slices cannot be scored"),
    ],
)
def test_what_is_refused(runs: tuple[RunDir, RunDir], tmp_path: Path, args: list[str], message: str):
    unscored = make_run(tmp_path / "unscored", n_sentences=5)
    for path in unscored.predictions.iterdir():
        path.unlink()
    names = {"first": runs[0].root, "second": runs[1].root, "empty": tmp_path / "empty", "unscored": unscored.root}
    names["empty"].mkdir()
    done = run(*(arg.format(**names) for arg in args))
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_it_needs_no_tensorflow(runs: tuple[RunDir, RunDir], tmp_path: Path):
    first, second = (str(made.root) for made in runs)
    output = str(tmp_path / "page.html")
    code = (
        "import sys; from tf_tokclf.cli.main import cli;"
        f"cli(['report', '--compare', 'a={first}', 'b={second}', '--samples', '9', '-o', {output!r}],"
        " standalone_mode=False);"
        "sys.exit(bool({'tensorflow', 'tf_keras', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0
