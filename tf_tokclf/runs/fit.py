"""fit: from a configuration to a trained model, by a single run, a run for each of several seeds, or a sweep."""

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


# Any: the type of the result depends on the arguments, and most callers train a single run.
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
    """Train, save the epoch with the best validation F1, score validation and test, and write the model card. Publish
    the model if hub.push is on.

    seeds: train once for each of them, and keep the median run as the model. A sweep in `config` trains once for each
    combination of its values, and keeps the best run. resume: continue what is in the output folder. In a folder of
    several seeds, each of them is checked, continued or restored. resume_from: continue a single run from the newest
    checkpoint in this folder. callbacks: more Keras callbacks, called in every run. show_plan, show_scores: called with
    the plan before training, and with the scores of a single run before its model is published.

    Returns a RunResult, for several seeds a SeedSummary, and for a sweep a SweepSummary. Raises UserError for what the
    user has to change, JobError when the job itself fails, and Stopped after Ctrl-C or SIGTERM.
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
    """Raise UserError where a single run, several seeds and a sweep are asked for at once."""
    if seeds and config.sweep:
        raise UserError(
            "--seeds and a sweep cannot be combined.", hint="Sweep first, then train the best settings with --seeds."
        )
    if resume_from is not None and (seeds or config.sweep):
        raise UserError(
            "--resume-from-checkpoint continues a single run.", hint="Continue a sweep or several seeds with --resume."
        )


def planned(config: Config) -> PlanRows:
    """The plan of what `fit` would do, as names and values. For a sweep, this is the plan of its first trial."""
    if not config.sweep:
        return plan_rows(plan_run(config))
    sweep = Sweep.of(config)
    first = with_settings(sweep.base, sweep.combinations()[0])
    return [*plan_rows(plan_run(first)), ("sweep", str(sweep))]
