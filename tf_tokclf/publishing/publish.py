"""Publish runs on the Hub: prepare the repository, push during training, write the model card, push a finished run."""

from __future__ import annotations

import logging
import re
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


_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.]+")


@dataclass(frozen=True)
class Target:
    """The repository on the Hub that a run or a model folder is pushed to."""

    repo_id: str
    private: bool = False
    revision: str | None = None

    @classmethod
    def of(cls, config: Config) -> Target:
        """The repository in the configuration. Its default name is that of the run's folder, with "-" in place of
        characters that names of repositories do not have.
        """
        folder = _NOT_IN_NAMES.sub("-", Path(config.output_dir or ".").resolve().name).strip("-.")
        return cls(config.hub.model_id or folder or "model", config.hub.private, config.hub.revision)


def prepare_repository(config: Config) -> HubRepository | None:
    """Create the repository that this run will be pushed to; None without hub.push.

    Also checks the template of the card, so that such errors are reported before training.
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
    """A context for training: yields the callbacks that push during training, then writes the card and publishes.

    Without a repository, only the card is written. After an error, nothing is pushed.
    """
    if not is_chief(plan.config.training.strategy):
        yield ()
        return
    if repository is None:
        yield ()
        write_card(plan.run)
        return
    # Imported here because it loads TensorFlow.
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

    reference: the model's id on the Hub. If given, the revision and licence of the data set are read from the Hub.
    """
    config = load_config(run.config)
    dataset = _look_up(dataset_id(config), config.data.dataset_revision) if reference else None
    text = run_card(run, reference=reference, other_seeds=other_seeds, dataset=dataset)
    with open_whole(run.model / "README.md") as file:
        file.write(text)


@dataclass(frozen=True)
class Source:
    """What is pushed. run: None for a model folder."""

    folder: Path
    run: RunDir | None
    target: Target


def checked_source(
    path: str | Path, *, repo_id: str | None = None, private: bool | None = None, revision: str | None = None
) -> Source:
    """The model of a run, or a model folder, and the repository that it is pushed to.

    The defaults are the settings in the run's configuration. Raises UserError, without a request to the Hub, if there
    is no valid name for the repository, or if the model is incomplete or damaged.
    """
    root = Path(path)
    run = RunDir(root)
    if not root.is_dir():
        raise UserError("this folder does not exist.", path=root, hint="Give a finished run or a model folder.")
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
        raise UserError("a model folder needs a repository name.", path=root, hint="Give --hub-model-id OWNER/NAME.")
    if target is None:
        check_model_is_whole(folder)
    else:
        check_run_is_whole(run)
    target, own = target or Target(""), run if target else None
    is_private = target.private if private is None else private
    name = repo_id or target.repo_id
    from huggingface_hub.utils import validate_repo_id

    with hub_errors(f"model {name}"):
        validate_repo_id(name)
    return Source(folder, own, Target(name, is_private, revision or target.revision))


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
    """Publish a run (its model with a new card) or a model folder (unchanged), and verify the upload.

    Args:
        path: The folder of a run, or a model folder.
        repo_id: The repository on the Hub. The defaults of this and the next two are the run's settings.
        private: Whether to create the repository as private.
        revision: The branch.
        message: The message of the commit.
        keep_card: Whether to leave the model card of the run as it is.
        other_seeds: Runs that differ only in the seed. The card shows the mean of all.
        patience: How often failed requests are repeated, and for how long.

    Returns:
        The address of the commit, and whether anything had changed.

    Raises:
        UserError: The model is incomplete or damaged (found before any request to the Hub), or the Hub refuses it.
        JobError: The Hub cannot be reached, or the upload could not be verified.
    """
    source = checked_source(path, repo_id=repo_id, private=private, revision=revision)
    target = source.target
    repository = HubRepository.prepare(
        target.repo_id, private=target.private, revision=target.revision, patience=patience
    )
    if source.run and not keep_card:
        if not source.run.results.is_file():
            log.warning("%s is not finished; its best model so far is pushed.", source.run.root)
        write_card(source.run, reference=repository.repo_id, other_seeds=[RunDir(Path(one)) for one in other_seeds])
    return repository.push(source.folder, message=message, patience=patience)


def _look_up(name: str, revision: str | None) -> DatasetInfo | None:
    """The Hub's information about a data set. None, with a warning, if it cannot be read."""
    if not name:
        return None
    from huggingface_hub import HfApi

    try:
        with hub_errors(f"data set {name}"):
            return HfApi().dataset_info(name, revision=revision)
    except (UserError, JobError) as error:
        log.warning("The model card will not contain the revision and licence of the data. %s", error)
        return None
