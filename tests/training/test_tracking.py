"""Reporting epochs: the CSV table, the trackers, and the message if one is missing."""

from __future__ import annotations

import csv
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.killing import UNTRACED, KillServer
from tests.requirements import need_modules
from tf_tokclf import load_config
from tf_tokclf.errors import UserError
from tf_tokclf.run_dir import RunDir
from tf_tokclf.training.history import EpochRecord, read_history, write_history
from tf_tokclf.training.tracking import HistoryTable, check_trackers, tracking_callbacks


def record(epoch: int) -> EpochRecord:
    numbers = dict.fromkeys(list(EpochRecord.__dataclass_fields__)[1:], 0.5)
    return EpochRecord(epoch=epoch, **numbers)


def test_the_table_has_each_epoch_once_also_after_a_resume(tmp_path: Path):
    run = RunDir(tmp_path)
    for epochs in ([1], [1, 2], [1, 2], [1, 2, 3]):
        write_history(run.history, [record(epoch) for epoch in epochs])
        HistoryTable(run).on_epoch_end(epochs[-1] - 1)
    with run.history_table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["dev_f1"] == "0.5"


def test_tensorboard_alone_is_the_default(tmp_path: Path):
    assert [type(c.inner).__name__ for c in tracking_callbacks(load_config(), RunDir(tmp_path))] == ["TensorBoard"]


def test_nowhere_is_a_choice(tmp_path: Path):
    config = load_config(assignments=["training.report_to=[]"])
    assert tracking_callbacks(config, RunDir(tmp_path)) == []


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tf_tokclf.optional_packages.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'tf-tokclf\[wandb\]'"):
        check_trackers(["csv", "wandb"])


def test_a_package_that_does_not_fit_the_others_is_said_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An old mlflow with a new protobuf."""
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "__init__.py").write_text("from google.protobuf import no_such_service\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    with pytest.raises(UserError, match="cannot be used: cannot import name 'no_such_service'"):
        check_trackers(["mlflow"])


# One process for both: training takes most of the time.
@pytest.fixture(scope="module")
def reported(
    kill_server: KillServer,
    tmp_path_factory: pytest.TempPathFactory,
    conll_files: dict[str, str],
    tiny_bert: Path,
) -> Path:
    """The folder of a run that was reported to Weights & Biases and MLflow, offline."""
    need_modules("wandb", extra="wandb")
    need_modules("mlflow", extra="mlflow")
    folder = tmp_path_factory.mktemp("reported")
    files = [f"--{name.replace('_', '-')}={path}" for name, path in conll_files.items()]
    settings = ["--num-train-epochs=2", "--report-to=wandb,mlflow", "--precision=float32"]
    args = ["fit", *files, *settings, "--recipe=none", f"--model-name-or-path={tiny_bert}", "--output-dir=run"]
    offline = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
    done = kill_server.command(*args, before=UNTRACED, folder=folder, environment=offline)
    assert done.returncode == 0, done.stderr
    return folder


def test_epochs_are_reported_to_weights_and_biases(reported: Path):
    (log,) = reported.glob("wandb/offline-run-*/run-*.wandb")
    assert log.read_bytes().count(b"epoch/val_f1") >= 2


def test_epochs_are_reported_to_mlflow(reported: Path):
    with closing(sqlite3.connect(reported / "mlflow.db")) as store:
        rows = store.execute("SELECT value FROM metrics WHERE key = 'val_f1' ORDER BY step").fetchall()
    history = read_history(reported / "run" / "history.jsonl")
    assert [value for (value,) in rows] == pytest.approx([record.dev_f1 for record in history])
