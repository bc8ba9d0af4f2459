"""Sweeps: a run for each combination of values, the best of which is kept, and resuming."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.conftest import WORDS
from tests.encoders import make_bert
from tests.killing import UNTRACED, Ended, Ending, KillServer
from tests.requirements import need_modules
from tests.training.test_train import config_for
from tf_tokclf.cli.main import cli
from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import Config
from tf_tokclf.config.sweep import Sweep
from tf_tokclf.errors import UserError
from tf_tokclf.run_dir import RunDir
from tf_tokclf.training.run_folder import claim_folder

need_modules("optuna", extra="sweep")

from optuna.trial import TrialState  # noqa: E402

from tf_tokclf.runs.sweep import _run_trial, _study, _Trials, fit_sweep  # noqa: E402

pytestmark = pytest.mark.long

RATE, WARMUP = "optimizer.learning_rate", "optimizer.warmup_ratio"
GRID = [{RATE: rate, WARMUP: warmup} for rate in (1e-6, 2e-2) for warmup in (0.9, 0.0)]
SWEEP = (f"--sweep={RATE}=1e-6,2e-2", f"--sweep={WARMUP}=0.9,0.0")
TRIALS = ["000", "001", "002", "003"]


@dataclass(frozen=True)
class Bench:
    """A sweep that was killed in its second trial and resumed, in separate processes."""

    server: KillServer
    root: RunDir
    args: list[str]
    killed: Ended
    first_tried: list[str]
    went_on: Ended

    def results(self, run: RunDir) -> dict[str, Any]:
        """The outcome of a run, without times."""
        found = json.loads(run.results.read_text(encoding="utf-8"))
        return {key: value for key, value in found.items() if key != "seconds"}


@pytest.fixture(scope="module")
def bench(kill_server: KillServer, conll_files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("sweeps")
    encoder = make_bert(folder / "encoder", WORDS, num_hidden_layers=1)
    files = [f"--{key.replace('_', '-')}={path}" for key, path in conll_files.items()]
    settings = ["--precision=float32", "--deterministic", "--save-steps=3", "--per-device-train-batch-size=4"]
    settings += ["--num-train-epochs=1", "--max-eval-samples=6", "--report-to=none"]
    root = RunDir(folder / "run")
    args = ["fit", *files, *settings, "--recipe=none", f"--model-name-or-path={encoder}"]
    where = [f"--output-dir={root.root}"]
    moment = Ending(change=2, place="epoch-0000-step-0000006")
    killed = kill_server.run([*args, *where, *SWEEP], root.of_trial("001").root, moment, before=UNTRACED)
    first_tried = sorted(path.name for path in root.trials.iterdir())
    # Only the folder contains the values of the sweep.
    went_on = kill_server.run(["fit", str(root.root), "--resume"], root.root, before=UNTRACED)
    return Bench(kill_server, root, args, killed, first_tried, went_on)


def test_every_combination_is_a_run_of_its_own(bench: Bench):
    assert bench.went_on.code == 0, bench.went_on.stderr
    assert sorted(path.name for path in bench.root.trials.iterdir()) == TRIALS
    for name, values in zip(TRIALS, GRID):
        config = load_config(bench.root.of_trial(name).config)
        assert (config.optimizer.learning_rate, config.optimizer.warmup_ratio) == tuple(values.values())
        assert (config.sweep, config.output_dir) == ({}, str(bench.root.of_trial(name).root))


def test_the_best_by_dev_is_the_model(bench: Bench):
    root = bench.root
    said = json.loads(root.sweep.read_text(encoding="utf-8"))
    assert [trial["settings"] for trial in said["trials"].values()] == GRID
    dev = {name: bench.results(root.of_trial(name))["splits"]["validation"]["overall"]["f1"] for name in TRIALS}
    assert {name: trial["f1"]["validation"] for name, trial in said["trials"].items()} == dev
    assert dev[said["best"]] == max(dev.values()) > min(dev.values())
    best = root.of_trial(said["best"])
    for name in ("model/model.safetensors", "results.json", "history.jsonl", "predictions/test.jsonl"):
        assert (root.root / name).read_bytes() == (best.root / name).read_bytes()
    assert load_config(root.config).optimizer == load_config(best.config).optimizer
    assert (root.model / "README.md").is_file()


@pytest.mark.slow
def test_a_trial_whose_loss_is_no_number_loses_nothing(bench: Bench):
    root = RunDir(bench.root.root.parent / "failing")
    # The loss becomes NaN at a learning rate that is far too high.
    options = [f"--sweep={RATE}=1e30,2e-2", f"--output-dir={root.root}"]
    ended = bench.server.run([*bench.args, *options], root.root)
    assert ended.code == 0, ended.stderr
    assert "trial 000 failed: the training loss is" in ended.stderr
    said = json.loads(root.sweep.read_text(encoding="utf-8"))
    assert said["trials"]["000"]["error"].startswith("the training loss is")
    assert said["best"] == "001"
    assert root.results.is_file()


@pytest.mark.slow
def test_where_all_trials_fail_the_sweep_does(bench: Bench):
    folder = bench.root.root.parent / "hopeless"
    options = [f"--sweep={RATE}=1e30,1e31", f"--output-dir={folder}"]
    ended = bench.server.run([*bench.args, *options], folder)
    assert ended.code == 1
    assert "all trials failed. The first one: the training loss is" in " ".join(ended.stderr.split())


def test_a_killed_trial_goes_on_where_it_was(bench: Bench):
    assert (bench.killed.code, bench.first_tried) == (-9, TRIALS[:2])
    assert "continuing from epoch 1, step 3" in bench.went_on.stderr


@pytest.mark.slow
def test_a_killed_trial_is_in_the_end_what_the_run_alone_gives(bench: Bench):
    alone, trial = RunDir(bench.root.root.parent / "alone"), bench.root.of_trial("001")
    settings = [f"--set={key}={value}" for key, value in GRID[1].items()]
    ended = bench.server.run([*bench.args, *settings, f"--output-dir={alone.root}"], alone.root, before=UNTRACED)
    assert ended.code == 0, ended.stderr
    assert (alone.model / "model.safetensors").read_bytes() == (trial.model / "model.safetensors").read_bytes()
    assert bench.results(alone) == bench.results(trial)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([f"--sweep={RATE}=1e-6,3e-2", SWEEP[1]], "values was {"),
        ([*SWEEP, "--weight-decay=0.3"], "changed: optimizer.weight_decay (was 0.01, is 0.3)"),
        ([*SWEEP, "--sweep-trials=2"], "n_trials was 4, is 2"),
    ],
)
def test_another_sweep_is_not_gone_on_with(bench: Bench, options: list[str], message: str):
    args = [*bench.args, f"--output-dir={bench.root.root}", "--resume", *options]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_what_the_best_trial_of_a_finished_sweep_has_lost_is_restored(bench: Bench, tmp_path: Path):
    root = RunDir(shutil.copytree(bench.root.root, tmp_path / "run"))
    assert not list(root.root.rglob("checkpoints"))
    best = root.of_trial(json.loads(root.sweep.read_text(encoding="utf-8"))["best"])
    places = [best.model / "config.json", root.model / "config.json"]
    before = [path.read_bytes() for path in places]
    for path in places:
        path.unlink()
    result = CliRunner().invoke(cli, ["fit", str(root.root), "--resume"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert [path.read_bytes() for path in places] == before
    (best.model / "model.safetensors").unlink()
    result = CliRunner().invoke(cli, ["fit", str(root.root), "--resume"])
    assert result.exit_code == 2
    assert "model/model.safetensors is missing and cannot be restored" in " ".join(result.stderr.split())


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("{")], ids=["lost", "damaged"])
def test_the_table_of_trials_is_restored(bench: Bench, tmp_path: Path, change: Callable[[Path], object]):
    """Earlier, the output named this file, but it did not exist."""
    root = RunDir(shutil.copytree(bench.root.root, tmp_path / "run"))
    before = root.sweep.read_bytes()
    change(root.sweep)
    result = CliRunner().invoke(cli, ["fit", str(root.root), "--resume"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert root.sweep.read_bytes() == before


def test_a_lost_data_base_is_written_again_without_training(bench: Bench, tmp_path: Path):
    """Earlier, the message was that the folder contains a run that is not a sweep."""
    root = RunDir(shutil.copytree(bench.root.root, tmp_path / "run"))
    before = root.sweep.read_bytes()
    weights = {path: path.stat().st_mtime_ns for path in root.trials.rglob("*") if path.is_file()}
    root.sweep_storage.unlink()
    root.sweep.unlink()
    refused = CliRunner().invoke(cli, ["fit", str(root.root), "--resume", f"--sweep={RATE}=1e-6,3e-2", SWEEP[1]])
    assert refused.exit_code == 2, refused.output
    problem = "the sweep in this folder has other settings or data and cannot be continued; values was {"
    assert problem in " ".join(refused.stderr.split())
    result = CliRunner().invoke(cli, ["fit", str(root.root), "--resume"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert "sweep.db is missing. It is written again from the runs in" in " ".join(result.stderr.split())
    assert {path: path.stat().st_mtime_ns for path in root.trials.rglob("*") if path.is_file()} == weights
    assert root.sweep.read_bytes() == before
    assert root.sweep_storage.is_file()


def test_without_data_base_and_trials_a_sweep_cannot_go_on(bench: Bench, tmp_path: Path):
    root = RunDir(shutil.copytree(bench.root.root, tmp_path / "run"))
    root.sweep_storage.unlink()
    shutil.rmtree(root.trials)
    result = CliRunner().invoke(cli, ["fit", str(root.root), "--resume"])
    assert result.exit_code == 2, result.output
    message = " ".join(result.stderr.split())
    assert "the sweep's trials and sweep.db are missing, so the sweep cannot be continued. Copy them" in message


def test_a_second_sweep_needs_force_which_removes_all_trials(bench: Bench, tmp_path: Path):
    root = tmp_path / "run"
    shutil.copytree(bench.root.root, root)
    (root / "notes.txt").write_text("mine")
    refused = CliRunner().invoke(cli, [*bench.args, f"--output-dir={root}", *SWEEP])
    assert refused.exit_code == 2
    assert "there already is a run" in refused.stderr
    claim_folder(RunDir(root), overwrite=True)
    assert [path.name for path in root.iterdir()] == ["notes.txt"]


def test_force_removes_no_trials_that_no_sweep_made(bench: Bench, tmp_path: Path):
    root = tmp_path / "run"
    shutil.copytree(bench.root.root, root)
    (root / "trials" / "of patience").mkdir()
    with pytest.raises(UserError, match="trials: is in the way, and was not written by a run"):
        claim_folder(RunDir(root), overwrite=True)


def test_a_finished_sweep_trains_nothing_and_shows_its_table_again(bench: Bench):
    before = {path: path.stat().st_mtime_ns for path in bench.root.trials.rglob("*")}
    result = CliRunner().invoke(cli, ["fit", str(bench.root.root), "--resume"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert {path: path.stat().st_mtime_ns for path in bench.root.trials.rglob("*")} == before
    said = json.loads(bench.root.sweep.read_text(encoding="utf-8"))
    ranked = sorted(said["trials"], key=lambda name: -said["trials"][name]["f1"]["validation"])
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["trial", "learning_rate", "warmup_ratio", "validation", "F1"] in rows
    assert [row[0] for row in rows if row and row[0] in TRIALS] == ranked
    rate = {"000": "1e-06", "001": "1e-06", "002": "0.02", "003": "0.02"}[said["best"]]
    assert [said["best"], "(best)", rate] in [row[:3] for row in rows]
    assert f"model   {bench.root.model} (trial {said['best']}, the best)\nscores  " in result.stdout


def test_the_table_of_trials_in_other_formats(bench: Bench):
    args = ["fit", str(bench.root.root), "--resume", "--quiet", "--scores-format"]
    said = json.loads(bench.root.sweep.read_text(encoding="utf-8"))
    assert json.loads(CliRunner().invoke(cli, [*args, "json"], catch_exceptions=False).stdout) == said
    done = CliRunner().invoke(cli, [*args, "csv"], catch_exceptions=False)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["trial"]: row["test F1 (percent)"] for row in rows} == {
        name: f"{100 * trial['f1']['test']:.2f}" for name, trial in said["trials"].items()
    }
    for row in rows:
        settings = said["trials"][row["trial"]]["settings"]
        assert (float(row["learning_rate"]), float(row["warmup_ratio"])) == (settings[RATE], settings[WARMUP])
    assert (rows[0]["trial"], {row["state"] for row in rows}) == (said["best"], {"finished"})
    assert "learning\\_rate" in CliRunner().invoke(cli, [*args, "latex"], catch_exceptions=False).stdout


def test_without_optuna_the_extra_is_named(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    config = config_for(conll_files, tiny_bert, tmp_path / "run", sweep={RATE: [1e-5, 3e-5]})
    with pytest.raises(UserError, match=r"pip install 'tf-tokclf\[sweep\]'"):
        fit_sweep(config)


def test_a_failed_trial_is_said_and_the_next_one_tried(tmp_path: Path):
    sweep = Sweep.of(Config(output_dir=str(tmp_path), sweep={RATE: [1e-5, 3e-5]}))
    with _study(RunDir(tmp_path), sweep) as study:
        trials = _Trials(study, sweep, RunDir(tmp_path))
        trials.queue()
        while trial := trials.next():
            # It cannot train, because it has no data.
            _run_trial(trial, sweep, RunDir(tmp_path))
        summary = trials.summary()
    assert [one.f1 for one in summary.trials] == [None, None]
    said = summary.to_json()
    assert said["best"] is None
    assert said["trials"]["001"]["settings"] == {RATE: 3e-5}
    assert said["trials"]["001"]["error"].startswith("Incomplete configuration")


def play(
    folder: Path, *outcomes: str, n_trials: int | None = None, lost: Mapping[str, dict[str, Any]] | None = None
) -> list[str]:
    """The trials of a sweep of 9 combinations in which lower values are better, without any training.

    outcomes: the outcomes of the first attempts in order: "failed", "stopped" or "fine". The others are "fine". lost:
    trials that were run but are missing from the database.
    """
    values = {RATE: [1e-5, 2e-5, 3e-5], "optimizer.weight_decay": [0.0, 0.1, 0.2]}
    sweep = Sweep.of(Config(output_dir=str(folder), sweep=values, sweep_trials=n_trials))
    folder.mkdir(exist_ok=True)
    tries = []
    with _study(RunDir(folder), sweep) as study:
        trials = _Trials(study, sweep, RunDir(folder))
        trials.queue(lost or {})
        while trial := trials.next():
            tries.append(f"{trial.user_attrs['folder']} {list(trial.params.values())}")
            outcome = outcomes[len(tries) - 1] if len(tries) <= len(outcomes) else "fine"
            if outcome == "stopped":
                return tries
            if outcome == "failed":
                trial.set_user_attr("error", "no luck")
                study.tell(trial, state=TrialState.FAIL)
            else:
                value = -sum(trial.params.values())
                trial.set_user_attr("f1", {"validation": value})
                study.tell(trial, value)
        best = trials.summary().best
        assert best.f1 == {"validation": max(one.f1["validation"] for one in trials.summary().trials if one.f1)}
    return tries


def test_sampled_trials_differ_and_do_not_depend_on_stops(tmp_path: Path):
    chosen = play(tmp_path / "whole", n_trials=8)
    assert len({one.partition(" ")[2] for one in chosen}) == 8
    assert [one.partition(" ")[0] for one in chosen] == [f"{number:03d}" for number in range(8)]
    # The name contains characters that must be escaped in the URL of a database.
    stopped = play(tmp_path / "a ?#% stop", "fine", "fine", "fine", "stopped", n_trials=8)
    assert stopped == chosen[:4]
    assert play(tmp_path / "a ?#% stop", n_trials=8) == chosen[3:]


def test_new_trials_take_names_that_lost_ones_do_not_have(tmp_path: Path):
    lost = {name: {RATE: rate, "optimizer.weight_decay": 0.1} for name, rate in (("000", 1e-5), ("002", 3e-5))}
    tries = play(tmp_path / "run", n_trials=5, lost=lost)
    assert tries[:2] == ["000 [1e-05, 0.1]", "002 [3e-05, 0.1]"]
    assert [one.partition(" ")[0] for one in tries[2:]] == ["001", "003", "004"]
    assert len({one.partition(" ")[2] for one in tries}) == 5


def test_what_failed_is_tried_again_and_what_was_stopped_goes_on(tmp_path: Path):
    first = play(tmp_path / "run", "fine", "failed", "stopped")
    again = play(tmp_path / "run")
    assert len(first) == 3
    assert sorted(again[:6]) == again[:6] == [f"00{n} {one.partition(' ')[2]}" for n, one in zip(range(3, 9), again)]
    assert again[6:] == first[1:]
    assert play(tmp_path / "run") == []
