"""`fit`: train a model from a configuration, as a single run, for several seeds, as a sweep, or as a learning curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tf_tokclf.config.loading import with_settings
from tf_tokclf.config.schema import Config
from tf_tokclf.config.sweep import Sweep
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import keras
from tf_tokclf.runs.learning_curve import Curve, fit_learning_curve, is_curve, planned_curve
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
    learning_curve: Sequence[float] = (),
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
        learning_curve: Train once on each of these shares of the training data (above 0, at most 1), with each of the
            seeds, and keep the median run on the largest share as the model.
        resume: Continue the run in the output folder. In a folder of several seeds or of a learning curve, each run is
            checked, continued or restored.
        resume_from: Continue a single run from the newest checkpoint in this folder.
        callbacks: Keras callbacks that are called in every run. With `training.eval_steps`, they see the
            training between two scorings as an epoch.
        show_plan: Called with the plan before training.
        show_scores: Called with the scores of a single run before its model is published.

    Returns:
        A `RunResult`. For several seeds a `SeedSummary`, for a sweep a `SweepSummary`, for a learning curve a
        `LearningCurve`.

    Raises:
        UserError: The configuration or the data has to be changed.
        JobError: The training failed.
        Stopped: Ctrl-C or SIGTERM stopped the run after saving its state.
    """
    check_kind(config, seeds, resume_from, learning_curve)
    if config.sweep:
        if show_plan:
            show_plan([("sweep", str(Sweep.of(config)))])
        return fit_sweep(config, resume=resume, callbacks=callbacks)
    if learning_curve or (resume and resume_from is None and is_curve(config)):
        return fit_learning_curve(
            config, learning_curve, seeds, resume=resume, callbacks=callbacks, show_plan=show_plan
        )
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


def check_kind(
    config: Config,
    seeds: Sequence[int] = (),
    resume_from: str | Path | None = None,
    learning_curve: Sequence[float] = (),
) -> None:
    """Raise UserError if options for a single run, for several seeds, for a sweep and for a learning curve are
    combined. Only a learning curve can have several seeds.
    """
    if learning_curve and config.sweep:
        raise UserError(
            "--learning-curve and a sweep cannot be combined.",
            hint="Sweep first, then draw the learning curve with the best settings.",
        )
    if learning_curve and resume_from is not None:
        raise UserError(
            "--resume-from-checkpoint continues a single run.", hint="Continue a learning curve with --resume."
        )
    if seeds and config.sweep:
        raise UserError(
            "--seeds and a sweep cannot be combined.", hint="Sweep first, then train the best settings with --seeds."
        )
    if resume_from is not None and (seeds or config.sweep):
        raise UserError(
            "--resume-from-checkpoint continues a single run.", hint="Continue a sweep or several seeds with --resume."
        )


def planned(config: Config, *, learning_curve: Sequence[float] = (), seeds: Sequence[int] = ()) -> PlanRows:
    """The plan of a run as rows of a name and a text. For a sweep, this is the plan of its first trial.

    learning_curve: shares of the training data. The plan then contains the sizes of all runs. seeds: of these runs.
    """
    if learning_curve:
        return planned_curve(Curve.of(config, learning_curve, seeds))
    if not config.sweep:
        return plan_rows(plan_run(config))
    sweep = Sweep.of(config)
    first = with_settings(sweep.base, sweep.combinations()[0])
    return [*plan_rows(plan_run(first)), ("sweep", str(sweep))]
