"""`fit`: train a model from a configuration, as a single run, as a run for each of several seeds, or as a sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tf_tokclf.config.loading import with_settings
from tf_tokclf.config.schema import Config
from tf_tokclf.config.sweep import Sweep
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import keras
from tf_tokclf.runs.seeds import fit_seeds, seeds_to_resume
from tf_tokclf.runs.single import PlanRows, fit_single
from tf_tokclf.runs.sweep import fit_sweep
from tf_tokclf.training.plan import plan_rows, plan_run
from tf_tokclf.training.train import RunResult


# Any, because the type of the result depends on the arguments, and most callers train a single run.
def fit(
    config: Config,
    *,
    seeds: Sequence[int] = (),
    resume: bool = False,
    resume_from: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    show_plan: Callable[[PlanRows], object] | None = None,
    show_scores: Callable[[RunResult], object] | None = None,
) -> RunResult | Any:
    """Train a token classifier, score it and save it.

    The weights with the best validation F1, or `training.metric_for_best_model`, are saved and scored on the validation
    and the test set. If `hub.push` is on, the model is published.

    Args:
        config: The configuration. A sweep in it trains once for each combination of its values and keeps the best run.
        seeds: Train once for each of these seeds, and keep the median run as the model.
        resume: Continue the run in the output folder. In a folder of several seeds, each of them is checked, continued
            or restored.
        resume_from: Continue a single run from the newest checkpoint in this folder.
        callbacks: Keras callbacks that are called in every run. With `training.eval_steps`, they see the
            training between two scorings as an epoch.
        show_plan: Called with the plan before training.
        show_scores: Called with the scores of a single run before its model is published.

    Returns:
        A `RunResult`. For several seeds a `SeedSummary`, for a sweep a `SweepSummary`.

    Raises:
        UserError: The configuration or the data has to be changed.
        JobError: The training failed.
        Stopped: Ctrl-C or SIGTERM stopped the run after saving its state.
    """
    check_kind(config, seeds, resume_from)
    if config.sweep:
        if show_plan:
            show_plan([("sweep", str(Sweep.of(config)))])
        return fit_sweep(config, resume=resume, callbacks=callbacks)
    if resume and resume_from is None and not seeds:
        seeds = seeds_to_resume(config)
    if seeds:
        return fit_seeds(config, seeds, resume=resume, callbacks=callbacks)
    return fit_single(
        config,
        resume=resume,
        resume_from=Path(resume_from) if resume_from is not None else None,
        callbacks=callbacks,
        show_plan=show_plan,
        show_scores=show_scores,
    )


def check_kind(config: Config, seeds: Sequence[int] = (), resume_from: str | Path | None = None) -> None:
    """Raise UserError if options for a single run, for several seeds and for a sweep are combined."""
    if seeds and config.sweep:
        raise UserError(
            "--seeds and a sweep cannot be combined.", hint="Sweep first, then train the best settings with --seeds."
        )
    if resume_from is not None and (seeds or config.sweep):
        raise UserError(
            "--resume-from-checkpoint continues a single run.", hint="Continue a sweep or several seeds with --resume."
        )


def planned(config: Config) -> PlanRows:
    """The plan of a run as rows of a name and a text. For a sweep, this is the plan of its first trial."""
    if not config.sweep:
        return plan_rows(plan_run(config))
    sweep = Sweep.of(config)
    first = with_settings(sweep.base, sweep.combinations()[0])
    return [*plan_rows(plan_run(first)), ("sweep", str(sweep))]
