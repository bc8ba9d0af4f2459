"""Push a run during training and its best model at the end, over HTTP or with git (`--hub-backend git`)."""

from __future__ import annotations

import logging
import re
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tf_tokclf.config.schema import Config
from tf_tokclf.errors import UserError
from tf_tokclf.files import copy_folder, open_whole
from tf_tokclf.model.backend import keras
from tf_tokclf.model.saving import save_model_folder
from tf_tokclf.publishing.background_push import Publisher
from tf_tokclf.publishing.complete_model import check_thresholds
from tf_tokclf.publishing.hub_repository import HubRepository, Patience, Pushed
from tf_tokclf.publishing.run_card import run_card
from tf_tokclf.run_dir import RunDir
from tf_tokclf.training.history import read_history, scorings_since_best
from tf_tokclf.training.plan import RunPlan

log = logging.getLogger(__name__)

# Name of the git backend's clone in the run's folder.
CLONE = "hub-clone"


class RunPushes(keras.callbacks.Callback):
    """Pushes the model after each scoring according to hub.strategy. `finish` publishes the best model.

    With "best", only a new best model is pushed. With "checkpoint" and "all_checkpoints", the checkpoint for
    `--resume-from-checkpoint` is pushed too. Training neither waits for these pushes nor fails because of them.
    """

    def __init__(self, plan: RunPlan, repository: HubRepository) -> None:
        super().__init__()
        self._plan = plan
        self._strategy = plan.config.hub.strategy
        self._publisher = Publisher(
            repository,
            keep_all=self._strategy == "all_checkpoints",
            patience=Patience(tries=plan.config.hub.tries),
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Push a snapshot in the background."""
        records = read_history(self._plan.run.history)
        is_best = scorings_since_best(records, self._plan.measure) == 0
        if self._strategy == "end" or (self._strategy == "best" and not is_best):
            return
        n_epochs = records[-1].epoch
        self._publisher.offer(lambda folder: self._fill(folder, n_epochs), f"Training in progress, epoch {n_epochs}")

    def finish(self) -> Pushed:
        """Publish the run's model folder and verify it. On failure, the JobError contains the command to repeat it.

        Thresholds in the folder that were made for another model are such a failure.
        """
        plan, repository = self._plan, self._publisher.repository
        command = command_to_finish(plan.run, repository, plan.config)
        return self._publisher.finish(plan.run.model, "End of training", command=command, check=check_thresholds)

    def _fill(self, folder: Path, n_epochs: float) -> None:
        plan = self._plan
        if self._strategy == "best":
            copy_folder(plan.run.model, folder)
        else:
            save_model_folder(self.model, plan.tokenizer, plan.info, folder)
        check_thresholds(folder)
        card = run_card(plan.run, reference=self._publisher.repository.repo_id, published=folder)
        (folder / "README.md").write_text(card, encoding="utf-8")
        checkpoint = newest_checkpoint(plan.run)
        if checkpoint and self._strategy == "checkpoint":
            copy_folder(checkpoint, folder / "checkpoint")
        if checkpoint and self._strategy == "all_checkpoints":
            copy_folder(checkpoint, folder / "checkpoints" / f"epoch-{n_epochs}")


def command_to_finish(run: RunDir, repository: HubRepository, config: Config) -> str:
    """The command that publishes the run if the final push failed."""
    command = ["tf-tokclf", "push", str(run.root), "--hub-model-id", repository.repo_id]
    command += ["--hub-private-repo"] if config.hub.private else []
    command += ["--revision", config.hub.revision] if config.hub.revision else []
    return shlex.join(command)


def newest_checkpoint(run: RunDir) -> Path | None:
    """The newest checkpoint for `--resume`. The names sort by age."""
    folders = [path for path in run.checkpoints.glob("*") if path.is_dir() and path.suffix != ".partial"]
    return max(folders, default=None)


@contextmanager
def git_pushes(plan: RunPlan, repository: HubRepository) -> Iterator[keras.callbacks.Callback]:
    """Use PushToHubCallback of transformers during training, and remove the token from the clone's files afterwards.

    The callback uses a clone in the run's folder. It may lose the last epochs if the Hub is slow or not reachable, and
    it publishes the weights of the last epoch, not the best ones. The warning says how to publish the best model.
    """
    from transformers.keras_callbacks import PushToHubCallback

    if plan.config.hub.private or plan.config.hub.revision:
        raise UserError(
            "the git backend supports neither private repositories nor branches.", hint="Use --hub-backend http."
        )
    clone = plan.run.root / CLONE
    path = clone / ".git" / "config"
    log.warning(
        "Hub: the git backend writes your token to %s during training and leaves it in git's credential store. "
        "It may lose the last epochs; `tf-tokclf push %s` publishes the best model and verifies it.",
        path,
        plan.run.root,
    )
    try:
        with warnings.catch_warnings():
            # huggingface_hub warns that its git support is deprecated.
            warnings.simplefilter("ignore", FutureWarning)
            callback = PushToHubCallback(str(clone), tokenizer=plan.tokenizer, hub_model_id=repository.repo_id)
            yield callback
    except OSError as error:
        if "git-lfs" not in str(error) and "git lfs" not in str(error):
            raise
        raise UserError(
            "the git backend needs git and git-lfs.", hint="Install git-lfs, or use --hub-backend http."
        ) from error
    finally:
        _forget_token(clone)


def _forget_token(clone: Path) -> None:
    """Remove user names and tokens from the URLs in the clone's configuration."""
    path = clone / ".git" / "config"
    if path.is_file():
        text = re.sub(r"//[^/@\s]+@", "//", path.read_text(encoding="utf-8"))
        with open_whole(path) as file:
            file.write(text)
