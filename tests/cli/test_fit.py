"""tf-tokclf fit: its plan, what it prints, and what it refuses before it trains."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.requirements import need_modules
from tf_tokclf.cli.main import cli

# These models are so small that tracing would take longer than computing without it.
pytestmark = pytest.mark.usefixtures("untraced")

RATE, WARMUP = "optimizer.learning_rate", "optimizer.warmup_ratio"
BAD_SWEEPS = [
    (["--sweep=learning_rate=1e-5,3e-5"], "setting learning_rate to sweep over. Did you mean optimizer.learning_rate"),
    (["--sweep=optimizer=1,2"], "there is no setting optimizer to sweep over"),
    ([f"--sweep={RATE}=1e-5,fast"], "optimizer.learning_rate: 'fast' is not a valid number"),
    ([f"--sweep={RATE}=1e-5,-1"], "optimizer.learning_rate: -1 is not greater than 0"),
    ([f"--sweep={RATE}=1e-5,0.00001"], "optimizer.learning_rate has a value more than once"),
    ([f"--sweep={RATE}=1e-5"], "a sweep needs 2 to 10,000 combinations of values, not 1"),
    ([f"--sweep={RATE}"], "is not SECTION.KEY=V,V,..."),
    ([f"--sweep={RATE}=[1e-5", f"--sweep={WARMUP}=1,2"], "the values are not valid YAML"),
    ([f"--sweep={RATE}=1e-5", f"--sweep={RATE}=3e-5"], "is given twice"),
    (["--sweep=training.seed=1,2"], "Use --seeds 1,2,3, which keeps the median"),
    (["--sweep=hub.private=true,false"], "Only the best trial is published"),
    (["--sweep=training.report_to=[[csv], [tensorboard]]"], "sweep"),
    (["--sweep=alignment.max_length=32,9999"], "more than the model reads at once"),
    (["--sweep=model.name_or_path=nowhere/to/be/found,also/nowhere/here"], "nowhere"),
    ([f"--sweep={RATE}=1e-5,3e-5", "--seeds=1,2"], "--seeds and a sweep cannot be combined"),
    (["--sweep=hurry=1,2", "--sweep=optimizer.clip_norm=x,y"], "- optimizer.clip_norm: 'x' is not a valid number"),
]


def run(*args: str, **options: object) -> Result:
    return CliRunner().invoke(cli, list(args), **options)


def test_dry_run_prints_the_plan_and_writes_nothing(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    output = tmp_path / "run"
    result = run(
        "fit",
        "--dry-run",
        "--train_file",
        conll_files["train_file"],
        f"--validation_file={conll_files['validation_file']}",
        "--recipe=none",
        "--model-name-or-path",
        str(tiny_bert),
        "--output_dir",
        str(output),
        "--num-train-epochs",
        "2",
    )
    assert result.exit_code == 0, result.stderr
    assert "4 (2 epochs of 2 steps)" in result.stdout
    assert "4, scheme IOB2" in result.stdout
    assert not output.exists()


@pytest.mark.parametrize("scoring", [("--eval-strategy", "no"), ("--eval-steps", "100")], ids=" ".join)
def test_the_plan_says_that_patience_has_no_effect_on_a_single_scoring(
    scoring: tuple[str, str], conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    files = [word for name, path in conll_files.items() for word in (f"--{name.replace('_', '-')}", path)]
    options = ("--model-name-or-path", str(tiny_bert), "--output-dir", str(tmp_path / "run"), "--max-steps", "3")
    result = run("fit", "--dry-run", *files, *options, *scoring, "--patience", "2")
    assert result.exit_code == 0, result.stderr
    plan = " ".join(result.stdout.split())
    assert "scoring at the end of training, so the last model is kept, and patience 2 has no effect" in plan
    assert "scoring every" not in plan


def test_a_bad_line_stops_fit_before_anything_is_written(tiny_bert: Path, tmp_path: Path):
    train = tmp_path / "train.conll"
    train.write_text("ada\tB-PER\nsaw\tO\n\nrome\n", encoding="utf-8")
    output = tmp_path / "run"
    result = run(
        "fit",
        "--train-file",
        str(train),
        "--recipe=none",
        "--model-name-or-path",
        str(tiny_bert),
        "--output-dir",
        str(output),
    )
    assert result.exit_code == 2
    assert f"{train}, line 4" in result.stderr
    assert not output.exists()


def test_a_model_that_learned_no_spans_is_said_once(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    rare = tmp_path / "train.conll"
    rare.write_text("saw\tO\n\n" * 159 + "ada\tB-PER\n", encoding="utf-8")
    args = ["fit", "--train-file", rare, "--validation-file", conll_files["validation_file"]]
    args += [
        "--recipe=none",
        "--model-name-or-path",
        tiny_bert,
        "--output-dir",
        tmp_path / "run",
        "--num-train-epochs",
        2,
    ]
    result = CliRunner().invoke(cli, [*map(str, args), "--learning-rate", "1e-2"])
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert said.count("it has learned no spans") == 1
    assert "the column of labels is the right one" in said
    command = f"tf-tokclf fit {tmp_path / 'run'} --span-weight 2 --output-dir {tmp_path / 'run-weight-2'}"
    assert f"To try next: {command}" in said
    stands_out = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["stands_out"]
    assert stands_out["try"] == "--span-weight 2"
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "What stands out" in page
    assert "<code>--span-weight 2</code>" in page


def test_scores_for_another_program(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    args = [f"--{name.replace('_', '-')}={path}" for name, path in conll_files.items()]
    args += [
        "--recipe=none",
        f"--model-name-or-path={tiny_bert}",
        "--num-train-epochs=1",
        f"--output-dir={tmp_path / 'run'}",
    ]
    done = run("fit", *args, "--scores-format", "csv")
    assert done.exit_code == 0, done.output
    splits = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["splits"]
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    overall = {row["split"]: row["F1 (percent)"] for row in rows if row["type"] == "all (micro average)"}
    assert overall == {name: f"{100 * values['overall']['f1']:.2f}" for name, values in splits.items()}
    assert rows[0]["run"] == str(tmp_path / "run")
    assert "results.json" in done.stderr


def test_an_unknown_tracker_is_refused():
    result = CliRunner().invoke(cli, ["fit", "--report-to", "csv,comet"])
    assert result.exit_code == 2
    assert "'comet' is not one of none, tensorboard, csv, wandb, mlflow" in result.output


@pytest.mark.parametrize(("options", "message"), BAD_SWEEPS, ids=[options[0] for options, _ in BAD_SWEEPS])
def test_bad_names_and_values_of_a_sweep_end_in_a_message_before_anything_is_trained(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, options: list[str], message: str
):
    need_modules("optuna", extra="sweep")
    files = [f"--{key.replace('_', '-')}={path}" for key, path in conll_files.items()]
    args = [
        "fit",
        *files,
        "--recipe=none",
        f"--model-name-or-path={tiny_bert}",
        f"--output-dir={tmp_path / 'run'}",
        *options,
    ]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "run" / "trials").exists()


def test_a_sweep_in_a_file_is_checked_and_planned(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    need_modules("optuna", extra="sweep")
    path = tmp_path / "sweep.yaml"
    path.write_text("sweep: {optimizer.learning_rate: [1e-5, 3e-5], training.num_train_epochs: [2, 3]}\n")
    assert CliRunner().invoke(cli, ["config", "check", str(path)]).exit_code == 0
    files = [f"--{key.replace('_', '-')}={file}" for key, file in conll_files.items()]
    args = [
        "fit",
        str(path),
        *files,
        "--recipe=none",
        f"--model-name-or-path={tiny_bert}",
        f"--output-dir={tmp_path / 'run'}",
    ]
    result = CliRunner().invoke(cli, [*args, "--dry-run"])
    assert result.exit_code == 0, result.stderr
    planned = " ".join(result.stdout.split())
    assert "optimizer.learning_rate 1e-05, 3e-05 x training.num_train_epochs 2, 3: 4 trials" in planned
    path.write_text("sweep: {optimizer.rate: [1e-5, 3e-5]}\n")
    bad = CliRunner().invoke(cli, ["config", "check", str(path)])
    assert (bad.exit_code, "there is no setting optimizer.rate" in bad.stderr) == (2, True)
