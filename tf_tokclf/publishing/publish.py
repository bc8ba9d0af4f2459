"""A run on the Hub: its repository, pushes during training, the model card, and publishing a finished run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tf_tokclf.config.cluster import is_chief
from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import Config
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.files import open_whole
from tf_tokclf.hub import hub_errors
from tf_tokclf.publishing.card import check_template
from tf_tokclf.publishing.complete_model import check_model_is_whole, check_run_is_whole
from tf_tokclf.publishing.hub_repository import PATIENCE, HubRepository, Patience, Pushed, files_to_push
from tf_tokclf.publishing.run_card import dataset_id, run_card
from tf_tokclf.run_dir import RunDir

if TYPE_CHECKING:
    from huggingface_hub.hf_api import DatasetInfo

    from tf_tokclf.model.backend import keras
    from tf_tokclf.training.plan import RunPlan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """Where a run or a model folder goes on the Hub."""

    repo_id: str
    private: bool = False
    revision: str | None = None

    @classmethod
    def of(cls, config: Config) -> Target:
        """What the configuration says; a repository without a name gets that of the run's folder."""
        name = config.hub.model_id or Path(config.output_dir or ".").resolve().name
        return cls(name, config.hub.private, config.hub.revision)


def prepare_repository(config: Config) -> HubRepository | None:
    """The repository that this run will be pushed to, made before training; None without hub.push.

    The card's template is looked at too: no training should end in an error that was there before it.
    """
    if config.hub.card.template:
        check_template(config.hub.card.template)
    if not (config.hub.push and is_chief(config.training.strategy)):
        return None
    target = Target.of(config)
    repository = HubRepository.prepare(target.repo_id, private=target.private, revision=target.revision)
    log.info("Hub: pushing to %s", repository.repo_id)
    return repository


@contextmanager
def publication(plan: RunPlan, repository: HubRepository | None) -> Iterator[Sequence[keras.callbacks.Callback]]:
    """Around a training: gives the callbacks that push on the way; afterwards writes the card and publishes.

    Without a repository there is only the card to write. After an error nothing more is pushed.
    """
    if not is_chief(plan.config.training.strategy):
        yield ()
        return
    if repository is None:
        yield ()
        write_card(plan.run)
        return
    # It loads TensorFlow.
    from tf_tokclf.publishing.run_callbacks import RunPushes, git_pushes

    if plan.config.hub.backend == "git":
        with git_pushes(plan, repository) as callback:
            yield (callback,)
        write_card(plan.run, reference=repository.repo_id)
    else:
        pushes = RunPushes(plan, repository)
        yield (pushes,)
        write_card(plan.run, reference=repository.repo_id)
        pushes.finish()


def write_card(run: RunDir, *, reference: str | None = None, other_seeds: Sequence[RunDir] = ()) -> None:
    """Write the card of a run into its model folder.

    reference: where the model goes on the Hub, which is then asked for the data set's revision and licence.
    """
    config = load_config(run.config)
    dataset = _look_up(dataset_id(config), config.data.dataset_revision) if reference else None
    text = run_card(run, reference=reference, other_seeds=other_seeds, dataset=dataset)
    with open_whole(run.model / "README.md") as file:
        file.write(text)


def push(
    path: str | Path,
    *,
    repo_id: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    message: str = "Upload token classifier",
    keep_card: bool = False,
    other_seeds: Sequence[str | Path] = (),
    patience: Patience = PATIENCE,
) -> Pushed:
    """Publish a run (its model, with a fresh card) or a model folder (as it is); make sure that it arrived.

    What is not given is as the run's configuration says. Raises UserError, before the Hub is asked for anything, where
    the model is incomplete or damaged.
    """
    root = Path(path)
    run = RunDir(root)
    target = Target.of(load_config(run.config)) if run.config.is_file() else None
    folder = run.model if target else root
    if target and folder.is_symlink() and not (folder / MODEL_INFO).is_file():
        raise UserError(
            f"is a link to {folder.resolve()}, which is not a model folder.",
            path=folder,
            hint="Remove the link, or put the model folder in its place.",
        )
    if not folder.is_dir() or not files_to_push(folder):
        raise UserError("there is no model to push.", path=folder, hint="Give a finished run or a model folder.")
    if target is None and repo_id is None:
        raise UserError("the repository has no name.", path=root, hint="Give --hub-model-id ORG/NAME.")
    if target is None:
        check_model_is_whole(folder)
    else:
        check_run_is_whole(run)
    target = target or Target("")
    repository = HubRepository.prepare(
        repo_id or target.repo_id,
        private=target.private if private is None else private,
        revision=revision or target.revision,
        patience=patience,
    )
    if folder != root and not keep_card:
        if not run.results.is_file():
            log.warning("%s was not finished; its best model so far is pushed.", root)
        write_card(run, reference=repository.repo_id, other_seeds=[RunDir(Path(one)) for one in other_seeds])
    return repository.push(folder, message=message, patience=patience)


def _look_up(name: str, revision: str | None) -> DatasetInfo | None:
    """What the Hub says of a data set; a card without it is no reason to fail."""
    if not name:
        return None
    from huggingface_hub import HfApi

    try:
        with hub_errors(f"data set {name}"):
            return HfApi().dataset_info(name, revision=revision)
    except (UserError, JobError) as error:
        log.warning("the card will not tell revision and licence of the data. %s", error)
        return None
