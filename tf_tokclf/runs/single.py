"""A single run: plan, train, write the model card, and publish the model if hub.push is on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from tf_tokclf.config.cluster import is_chief
from tf_tokclf.config.schema import Config
from tf_tokclf.data.drawing import AnyDrawing
from tf_tokclf.data.run_settings import drawing_of, unrecorded_drawing
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import keras
from tf_tokclf.publishing.publish import prepare_repository, publication
from tf_tokclf.report.terminal import status
from tf_tokclf.run_dir import RunDir
from tf_tokclf.training.checkpoints import find_checkpoint
from tf_tokclf.training.plan import check_settings, plan_rows, plan_run
from tf_tokclf.training.resume import with_earlier_choices
from tf_tokclf.training.run_folder import check_room_for
from tf_tokclf.training.train import RunResult, train

log = logging.getLogger(__name__)

PlanRows = list[tuple[str, str]]


def fit_single(
    config: Config,
    *,
    resume: bool = False,
    resume_from: Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    show_plan: Callable[[PlanRows], object] | None = None,
    show_scores: Callable[[RunResult], object] | None = None,
) -> RunResult:
    """Train one run. The arguments are those of `tf_tokclf.runs.fit.fit`."""
    # Checked first, because reading data and encoder may take minutes, and the repository stays on the Hub.
    check_settings(config)
    check_room_for(config, resume=resume or resume_from is not None)
    repository = prepare_repository(config)
    if resume or resume_from is not None:
        config = with_earlier_choices(config, place=resume_from)

    with status("reading data and encoder"):
        plan = plan_run(config, drawn_before=_drawn_before(config, resume, resume_from))
    if show_plan and is_chief(config.training.strategy):
        show_plan(plan_rows(plan))
    with publication(plan, repository) as pushes:
        result = train(plan, resume=resume, resume_from=resume_from, callbacks=[*callbacks, *pushes])
        if show_scores:
            show_scores(result)
    return result


def _drawn_before(config: Config, resume: bool, resume_from: Path | None) -> AnyDrawing | None:
    """What the run to be continued drew from its training data.

    A record that cannot be read is written again. Whether the sentences are the same is checked later.
    """
    if resume_from is not None:
        # A run, its folder of checkpoints, or one checkpoint.
        folders = (resume_from, *resume_from.resolve().parents[:2])
        run = next((run for run in map(RunDir, folders) if run.validation_cut.is_file()), None)
        return drawing_of(run) if run else _drawn_before_checkpoint(config, resume_from)
    if not resume:
        return None
    run = RunDir.of(config.output_dir)
    try:
        return drawing_of(run) or _drawn_before_checkpoint(config, run.checkpoints)
    except UserError as error:
        log.warning("%s", error)
        return None


def _drawn_before_checkpoint(config: Config, place: Path) -> AnyDrawing | None:
    """What a run of a version that did not record it had drawn, by the settings in a checkpoint at `place`.

    None if there is no checkpoint, or if nothing is drawn: such runs have no record either.
    """
    if config.data.validation_file or not config.data.validation_fraction:
        return None
    try:
        return unrecorded_drawing(find_checkpoint(place).identity.settings)
    except UserError:
        return None  # reported when the run is resumed
