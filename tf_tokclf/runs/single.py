"""A single run: plan, train, write the model card, and publish the model if hub.push is on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tf_tokclf.config.cluster import is_chief
from tf_tokclf.config.schema import Config
from tf_tokclf.model.backend import keras
from tf_tokclf.publishing.publish import prepare_repository, publication
from tf_tokclf.report.terminal import status
from tf_tokclf.training.plan import check_settings, plan_rows, plan_run
from tf_tokclf.training.run_folder import check_room_for
from tf_tokclf.training.train import RunResult, train

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

    with status("reading data and encoder"):
        plan = plan_run(config)
    if show_plan and is_chief(config.training.strategy):
        show_plan(plan_rows(plan))
    with publication(plan, repository) as pushes:
        result = train(plan, resume=resume, resume_from=resume_from, callbacks=[*callbacks, *pushes])
        if show_scores:
            show_scores(result)
    return result
