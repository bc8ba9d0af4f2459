"""transformers' own PushToHubCallback, for those who ask for it: `--hub-backend git`."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tf_tokclf.errors import UserError
from tf_tokclf.files import open_whole
from tf_tokclf.model.backend import keras
from tf_tokclf.publishing.hub_repository import HubRepository
from tf_tokclf.training.plan import RunPlan

log = logging.getLogger(__name__)

CLONE = "hub-clone"


@contextmanager
def git_pushes(plan: RunPlan, repository: HubRepository) -> Iterator[keras.callbacks.Callback]:
    """The original callback around a training, its token taken out of the clone's files afterwards.

    It works in a clone inside the run's folder. It may lose the last epochs when the Hub is slow or away, and
    publishes the last epoch's weights, not the best: the warning says how to publish and verify these.
    """
    from transformers.keras_callbacks import PushToHubCallback

    if plan.config.hub.private or plan.config.hub.revision:
        raise UserError("the git backend knows no private repositories and no branches.", hint="Use http.")
    clone = plan.run.root / CLONE
    path = clone / ".git" / "config"
    log.warning(
        "Hub: the git backend keeps your token in %s while it works, leaves it in git's credential store, "
        "and may lose the last epochs; `tf-tokclf push %s` publishes the best model and checks it.",
        path,
        plan.run.root,
    )
    try:
        with warnings.catch_warnings():
            # huggingface_hub announces the end of its git side.
            warnings.simplefilter("ignore", FutureWarning)
            callback = PushToHubCallback(str(clone), tokenizer=plan.tokenizer, hub_model_id=repository.repo_id)
            yield callback
    except OSError as error:
        if "git-lfs" not in str(error) and "git lfs" not in str(error):
            raise
        raise UserError("the git backend needs git and git-lfs.", hint="Install git-lfs or use http.") from error
    finally:
        _forget_token(clone)


def _forget_token(clone: Path) -> None:
    """Take user and token out of the addresses in the clone's configuration."""
    path = clone / ".git" / "config"
    if path.is_file():
        text = re.sub(r"//[^/@\s]+@", "//", path.read_text(encoding="utf-8"))
        with open_whole(path) as file:
            file.write(text)
