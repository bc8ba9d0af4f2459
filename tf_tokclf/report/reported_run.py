"""What a report about an earlier run needs: a folder with results, and the spans of the training data."""

from __future__ import annotations

import logging
from pathlib import Path

from tf_tokclf.config.loading import load_config
from tf_tokclf.data.run_settings import drawing_of
from tf_tokclf.data.splits import load_splits
from tf_tokclf.errors import UserError
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.error_analysis import Training, training_of

log = logging.getLogger(__name__)


def run_with_results(root: Path) -> RunDir:
    """The run in the folder `root`. Raises UserError if it has nothing to report."""
    run = RunDir(root)
    if not root.is_dir():
        raise UserError("this folder does not exist.", path=root, hint="Name the folder of a run.")
    if not (run.results.is_file() or run.history.is_file() or run.predictions.is_dir()):
        raise UserError("contains no results of a run.", path=root, hint="Name the folder of a run.")
    return run


def training_spans(run: RunDir) -> Training | None:
    """The spans of the training data, for scores of seen and unseen spans. None, with a warning, if it is gone."""
    if not run.config.is_file():
        return None
    try:
        config = load_config(run.config)
        splits = load_splits(config.data, task=config.task, drawn_before=drawing_of(run))
    except UserError as error:
        log.warning(
            "The page does not show scores by whether a span occurs in the training data, which cannot be read: %s",
            error,
        )
        return None
    return training_of(splits.train, splits.scheme) if splits.train else None
