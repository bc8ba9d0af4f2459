"""Reporting epochs to TensorBoard, a CSV file, Weights & Biases and MLflow, in addition to history.jsonl."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from importlib import import_module
from typing import Any

from tf_tokclf.config.flat_settings import setting_values
from tf_tokclf.config.schema import Config
from tf_tokclf.errors import UserError
from tf_tokclf.files import open_whole
from tf_tokclf.model.backend import keras
from tf_tokclf.optional_packages import check_installed, install_hint
from tf_tokclf.run_dir import RunDir
from tf_tokclf.training.history import read_history

# Modules with the callbacks, by tracker.
MODULES = {"wandb": "wandb.integration.keras", "mlflow": "mlflow.tensorflow"}


def check_trackers(names: Iterable[str]) -> None:
    """Raise UserError if a package that one of the trackers `names` needs is missing or cannot be imported."""
    for name in names:
        if name not in MODULES:
            continue
        check_installed(f"--report-to {name}", name, extra=name)
        try:
            import_module(MODULES[name])
        except Exception as error:  # importing a package can raise anything
            problem = f"--report-to {name}: the package {name} that is installed cannot be used: {error}."
            raise UserError(problem, hint=install_hint(name)) from error


def tracking_callbacks(config: Config, run: RunDir) -> list[keras.callbacks.Callback]:
    """The callbacks that report to each of `training.report_to`."""
    makers: Mapping[str, Callable[[Config, RunDir], list[keras.callbacks.Callback]]] = {
        "tensorboard": _tensorboard,
        "csv": lambda config, run: [HistoryTable(run)],
        "wandb": _wandb,
        "mlflow": _mlflow,
    }
    return [callback for name in config.training.report_to for callback in makers[name](config, run)]


class EpochsOnly(keras.callbacks.Callback):
    """Calls another callback for epochs, but not for single steps.

    The callbacks of the trackers process the loss of each step and then ignore it. This takes as long as everything
    else that the program does in a step.
    """

    def __init__(self, inner: keras.callbacks.Callback) -> None:
        super().__init__()
        self.inner = inner

    def set_model(self, model: keras.Model) -> None:
        """Give the model to the callback."""
        self.inner.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Give the parameters to the callback."""
        self.inner.set_params(params)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Pass on the call."""
        self.inner.on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Pass on the call."""
        self.inner.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Pass on the call."""
        self.inner.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Pass on the call."""
        self.inner.on_train_end(logs)


class HistoryTable(keras.callbacks.Callback):
    """Writes history.csv, with the same content as history.jsonl."""

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self._run = run

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Write the epochs of a resumed run, whose table may be missing."""
        if self._run.history.is_file():
            self.on_epoch_end(0)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write all epochs so far."""
        records = [asdict(record) for record in read_history(self._run.history)]
        if not records:
            return
        with open_whole(self._run.history_table, newline="") as file:
            table = csv.DictWriter(file, fieldnames=list(records[0]))
            table.writeheader()
            table.writerows(records)


def _tensorboard(config: Config, run: RunDir) -> list[keras.callbacks.Callback]:
    # TensorFlow would create the folders with fixed permissions and ignore the umask.
    for folder in (run.logs / "train", run.logs / "validation"):
        folder.mkdir(parents=True, exist_ok=True)
    return [EpochsOnly(keras.callbacks.TensorBoard(str(run.logs), write_graph=False, update_freq="epoch"))]


def _wandb(config: Config, run: RunDir) -> list[keras.callbacks.Callback]:
    """The Keras callback of Weights & Biases in a new run. Variables such as WANDB_PROJECT and WANDB_MODE apply."""
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    wandb.init(
        project=os.environ.get("WANDB_PROJECT", "tf-tokclf"),
        name=os.environ.get("WANDB_NAME", run.root.name),
        config=setting_values(config),
        reinit="finish_previous",
    )
    return [EpochsOnly(WandbMetricsLogger()), keras.callbacks.LambdaCallback(on_train_end=lambda logs: wandb.finish())]


def _mlflow(config: Config, run: RunDir) -> list[keras.callbacks.Callback]:
    """The Keras callback of MLflow in a new run. Variables such as MLFLOW_TRACKING_URI apply."""
    import mlflow
    from mlflow.tensorflow import MlflowCallback

    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "tf-tokclf"))
    mlflow.start_run(run_name=run.root.name)
    mlflow.log_params(setting_values(config))
    return [EpochsOnly(MlflowCallback()), keras.callbacks.LambdaCallback(on_train_end=lambda logs: mlflow.end_run())]
