"""A sweep: a run for each combination of listed values, recorded in Optuna's storage, and the best one as the model.

Trials are taken from Optuna's queue. For a grid, all combinations are enqueued at the start in the order in which they
are listed. (`GridSampler` would choose a random order, and fails if trials are requested one by one with `study.ask`.)
A trial that was stopped or failed is enqueued again with its folder, so that its run is continued.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tf_tokclf.config.cluster import cluster_of
from tf_tokclf.config.flat_settings import setting_values
from tf_tokclf.config.loading import load_config, save_config, with_settings
from tf_tokclf.config.schema import Config
from tf_tokclf.config.sweep import Sweep, value_text
from tf_tokclf.data.inputs import run_inputs
from tf_tokclf.errors import JobError, UserError, first_line
from tf_tokclf.files import disk_problem, restore_replaced, write_json
from tf_tokclf.model.backend import keras
from tf_tokclf.optional_packages import check_installed
from tf_tokclf.publishing.publish import prepare_repository, push, write_card
from tf_tokclf.report.html_tables import html_table
from tf_tokclf.report.result_tables import Trial, sweep_result_table
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_lock import locked
from tf_tokclf.runs.variants import chosen_variant, fit_unless_finished, take_over, variant
from tf_tokclf.scoring.measures import MEASURES, Measure
from tf_tokclf.training.plan import plan_run
from tf_tokclf.training.resume import with_earlier_choices
from tf_tokclf.training.run_folder import check_links, check_room_for, claim_folder, remove_leftovers
from tf_tokclf.training.run_identity import another_run, check_same, setting_differences, settings_of

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

# How often a sampler may propose combinations that were tried before. Then the next untried combination is taken.
MOST_REPETITIONS = 20


@dataclass(frozen=True)
class TrialResult:
    """A trial of a sweep.

    Attributes:
        name: Name of its folder.
        values: The settings that were tried.
        f1: F1 by split, as fractions. None if the trial failed.
        value: The validation score by the measure of `SweepSummary`. None if the trial failed.
        error: Why the trial failed.
    """

    name: str
    values: dict[str, Any]
    f1: dict[str, float] | None
    value: float | None
    error: str | None = None


@dataclass(frozen=True)
class SweepSummary:
    """The trials of a sweep, of which at least one did not fail.

    Attributes:
        trials: The trials in the order of their folders.
        measure: The measure by which the best one is chosen.
    """

    trials: tuple[TrialResult, ...]
    measure: Measure = MEASURES["f1"]

    @property
    def best(self) -> TrialResult:
        """The trial with the best validation score. If several have it, it is the first one."""
        return self.ranked()[0]

    def ranked(self) -> list[TrialResult]:
        """The trials, best validation score first and failed trials last."""
        return sorted(self.trials, key=lambda one: (one.f1 is None, -self.measure.rank(one.value)))

    def to_json(self) -> dict[str, Any]:
        """The contents of sweep.json."""
        return {
            "chosen_by": f"{self.measure.name} on validation",
            "best": self.best.name if any(one.f1 for one in self.trials) else None,
            "trials": {one.name: {"settings": one.values, **self._outcome(one)} for one in self.trials},
        }

    def _outcome(self, one: TrialResult) -> dict[str, Any]:
        if one.f1 is None or one.value is None:
            return {"error": one.error}
        return {"f1": one.f1, **self.measure.to_json(one.value)}

    def trials_as_text(self, names: Sequence[str]) -> list[Trial]:
        """The trials for tables, best first, with the values of the settings `names`."""
        return [
            (one.name, [value_text(one.values[name]) for name in names], one.f1, one.value) for one in self.ranked()
        ]

    def _repr_html_(self) -> str:
        """The table that notebooks show."""
        names = list(self.best.values)
        return html_table(sweep_result_table(names, self.trials_as_text(names), {}, measure=self.measure))


def fit_sweep(
    config: Config, *, resume: bool = False, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> SweepSummary:
    """Train a run for each combination of `config.sweep` in folders trials/000, trials/001 ... of the output folder,
    and copy the model with the best validation score there.

    resume: keep finished trials, continue a stopped one, and try failed ones again. With hub.push, the best one is
    published. Raises UserError, before anything is trained, for what the user has to change.
    """
    sweep = Sweep.of(config)
    _check(config, sweep, resume=resume)
    root = RunDir.of(config.output_dir)
    with locked(root):
        if resume:
            restore_replaced(root.model)
            check_links(root)
        lost = _begin_or_resume(root, config, sweep, resume=resume)
        with _study(root, sweep) as study:
            trials = _Trials(study, sweep, root)
            trials.queue(lost)
            while trial := trials.next():
                _run_trial(trial, sweep, root, callbacks)
                write_json(root.sweep, trials.summary().to_json())
            summary = trials.summary()
        # Also if no trial was left to run, because the file may be lost or damaged.
        write_json(root.sweep, summary.to_json())
        if not any(one.f1 for one in summary.trials):
            raise JobError(f"{root.root}: all trials failed. The first one: {summary.trials[0].error}")
        best = summary.best
        run = root.of_trial(best.name)
        # The files of a trial that was finished before may have been damaged since.
        fit_unless_finished(
            variant(sweep.base, run, best.values),
            f"trial {best.name}",
            summary.measure,
            resume=True,
            callbacks=callbacks,
        )
        take_over(root, run, chosen_variant(config, root, run, best.values, push=config.hub.push))
        if config.hub.push:
            push(root.root)
        else:
            write_card(root)
    return summary


def _check(config: Config, sweep: Sweep, *, resume: bool) -> None:
    if not config.output_dir:
        raise UserError("no folder for the trials.", hint="Pass --output-dir.")
    if cluster_of(config.training.strategy):
        raise UserError("a sweep runs on one host.", hint="Unset TF_CONFIG, or pass --strategy mirrored.")
    check_installed("a sweep", "optuna", extra="sweep")
    check_room_for(config, resume=resume)
    for values in sweep.to_plan():
        plan_run(variant(sweep.base, RunDir.of(config.output_dir), values))
    prepare_repository(config)


def _begin_or_resume(root: RunDir, config: Config, sweep: Sweep, *, resume: bool) -> dict[str, dict[str, Any]]:
    """Claim the folder for a new sweep, or check that the one there is the same.

    Returns the finished and unfinished trials in the folder (name -> values) if the database that should list them is
    missing, otherwise nothing.
    """
    if not resume:
        claim_folder(root, overwrite=config.overwrite, inputs=run_inputs(config))
    elif root.sweep_storage.is_file():
        _check_same_base(root, sweep)
        return {}
    elif names := root.trials_with_config:
        _check_same_base(root, sweep)
        _check_same_values(_asked(Sweep.of(load_config(root.config))), sweep, root)
        lost = {name: _values_of(root.of_trial(name), sweep) for name in names}
        log.warning("%s is missing. It is written again from the runs in %s.", root.sweep_storage, root.trials)
        remove_leftovers(root)
        return lost
    elif root.sweep.exists():
        raise UserError(
            f"the sweep's trials and {root.sweep_storage.name} are missing, so the sweep cannot be continued.",
            path=root.root,
            hint="Copy them from a backup, choose another --output-dir, or start the sweep again with --force.",
        )
    elif root.model.exists():
        raise UserError("contains a run that is not a sweep.", path=root.root, hint="Choose another --output-dir.")
    # A sweep that was stopped before its first trial has at most a configuration. The recipe is named in it, because
    # without that name it would be read as one of an earlier version.
    save_config(with_settings(config, {"recipe": config.recipe}), root.config)
    return {}


def _values_of(run: RunDir, sweep: Sweep) -> dict[str, Any]:
    """The swept values of a trial, from its configuration."""
    settings = setting_values(load_config(run.config))
    values = {}
    for name, listed in sweep.values.items():
        found = [value for value in listed if json.dumps(value) == json.dumps(settings[name])]
        if not found:
            raise another_run(f"{name} is {value_text(settings[name])} in {run.root}", run, kind="sweep")
        values[name] = found[0]
    return values


def _check_same_base(root: RunDir, sweep: Sweep) -> None:
    """Raise UserError if the settings that all trials share have changed since the sweep started."""
    # When a sweep ends, its configuration becomes that of the best trial.
    now, before = (settings_of(one) for one in (with_earlier_choices(sweep.base), load_config(root.config)))
    shared = {name: value for name, value in now.items() if name not in sweep.values}
    check_same(setting_differences(shared, before), root, kind="sweep")


@contextmanager
def _study(root: RunDir, sweep: Sweep) -> Iterator[optuna.Study]:
    """The study in the run's folder. It is created if there is none. Raises UserError if it is of another sweep."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = _storage(root)
        study = optuna.create_study(storage=storage, study_name="sweep", direction="maximize", load_if_exists=True)
    except SQLAlchemyError as error:
        raise UserError(
            f"the sweep's database cannot be used: {first_line(getattr(error, 'orig', None) or error)}.",
            path=root.sweep_storage,
            hint="Check its permissions and free space. If it is damaged, start the sweep in another --output-dir.",
        ) from error
    try:
        if not study.user_attrs:
            study.set_user_attr("sweep", _asked(sweep))
        else:
            _check_same_values(study.user_attrs["sweep"], sweep, root)
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _asked(sweep: Sweep) -> dict[str, Any]:
    return {"values": {name: list(values) for name, values in sweep.values.items()}, "n_trials": sweep.n_trials}


def _check_same_values(before: dict[str, Any], sweep: Sweep, root: RunDir) -> None:
    """Raise UserError if the swept values have changed since the sweep started."""
    asked = _asked(sweep)
    if before != asked:
        changed = next(key for key in asked if asked[key] != before[key])
        what = f"{changed} was {json.dumps(before[changed])}, is {json.dumps(asked[changed])}"
        raise another_run(what, root, kind="sweep")


def _storage(root: RunDir) -> optuna.storages.RDBStorage:
    import optuna
    from sqlalchemy.engine import URL

    # Created here, because SQLite would not give a group the permissions of the umask.
    with suppress(OSError):  # SQLite reports the error
        root.sweep_storage.touch()
    return optuna.storages.RDBStorage(URL.create("sqlite", database=str(root.sweep_storage)).render_as_string())


class _Trials:
    """The trials of a sweep in Optuna's study. Several attempts in the same folder are one trial."""

    def __init__(self, study: optuna.Study, sweep: Sweep, root: RunDir) -> None:
        self._study = study
        self._sweep = sweep
        self._root = root

    def queue(self, lost: Mapping[str, dict[str, Any]] = MappingProxyType({})) -> None:
        """Enqueue the combinations of a grid, and trials that were not finished.

        lost: trials that have a folder but are missing from the study, name -> values. Finished ones are not trained
        again.
        """
        import optuna

        waiting = optuna.trial.TrialState.WAITING
        for name, values in lost.items():
            self._enqueue(name, values)
        for trial in self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if self._sweep.is_whole:
            for number, values in enumerate(self._sweep.combinations()):
                if _name(number) not in self._latest():
                    self._enqueue(_name(number), values)
        for name, trial in self._latest().items():
            if trial.value is None and trial.state is not waiting:
                self._enqueue(name, trial.user_attrs["values"])

    def next(self) -> optuna.Trial | None:
        """The next trial to run. None if there are no more."""
        import optuna

        distributions: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.CategoricalDistribution(values) for name, values in self._sweep.values.items()
        }
        if self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
            return self._study.ask(distributions)
        if len(self._latest()) == self._sweep.n_trials:
            return None
        known = {_key(one.user_attrs["values"]): one.value for one in self._latest().values()}
        for repetition in range(MOST_REPETITIONS):
            # The seed depends only on the trials so far, so that a resumed sweep chooses the same as without the stop.
            seed = self._sweep.base.training.seed + len(known) * MOST_REPETITIONS + repetition
            self._study.sampler = optuna.samplers.TPESampler(seed=seed)
            trial = self._study.ask(distributions)
            if _key(trial.params) not in known:
                trial.set_user_attr("values", trial.params)
                trial.set_user_attr("folder", self._free_name())
                return trial
            value = known[_key(trial.params)]
            state = optuna.trial.TrialState.COMPLETE if value is not None else optuna.trial.TrialState.FAIL
            self._study.tell(trial, value, state=state)
        self._enqueue(self._free_name(), next(x for x in self._sweep.combinations() if _key(x) not in known))
        return self._study.ask(distributions)

    def summary(self) -> SweepSummary:
        """The results of the trials so far."""
        return SweepSummary(
            tuple(
                _result(name, trial.user_attrs)
                for name, trial in sorted(self._latest().items())
                if "f1" in trial.user_attrs or "error" in trial.user_attrs
            ),
            _measure(self._sweep),
        )

    def _enqueue(self, name: str, values: dict[str, Any]) -> None:
        self._study.enqueue_trial(values, user_attrs={"folder": name, "values": values})

    def _free_name(self) -> str:
        """The first free name of a folder. In a database that was written again, names in between may be missing."""
        latest = self._latest()
        return next(name for name in map(_name, count()) if name not in latest)

    def _latest(self) -> dict[str, optuna.trial.FrozenTrial]:
        """The newest attempt by folder."""
        return {
            trial.user_attrs["folder"]: trial
            for trial in self._study.get_trials(deepcopy=False)
            if "folder" in trial.user_attrs
        }


def _measure(sweep: Sweep) -> Measure:
    """The measure by which the best trial is chosen. If the trials differ in it, that of the base configuration."""
    return MEASURES[sweep.base.training.metric_for_best_model]


def _result(name: str, attributes: Mapping[str, Any]) -> TrialResult:
    # Earlier versions chose by F1, and did not store the value separately.
    f1 = attributes.get("f1")
    value = attributes.get("value", f1["validation"]) if f1 else None
    return TrialResult(name, attributes["values"], f1, value, attributes.get("error"))


def _run_trial(
    trial: optuna.Trial, sweep: Sweep, root: RunDir, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> None:
    """Train or continue the run of a trial, and record the result in the study."""
    import optuna

    name, values = trial.user_attrs["folder"], trial.user_attrs["values"]
    run = root.of_trial(name)
    log.info("trial %s: %s", name, ", ".join(f"{key} {value_text(value)}" for key, value in values.items()))
    try:
        own = variant(sweep.base, run, values)
        measure = _measure(sweep)
        scores = fit_unless_finished(own, f"trial {name}", measure, resume=run.config.is_file(), callbacks=callbacks)
    except (UserError, JobError) as error:
        if isinstance(error.__cause__, Exception) and disk_problem(error.__cause__):
            # The next trial would fail too. The sweep stops, and can be resumed from here.
            raise
        log.error("trial %s failed: %s", name, error)
        trial.set_user_attr("error", str(error))
        trial.study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        trial.set_user_attr("f1", scores.f1)
        trial.set_user_attr("value", scores.value)
        trial.study.tell(trial, measure.rank(scores.value))


def _name(number: int) -> str:
    return f"{number:03d}"


def _key(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
