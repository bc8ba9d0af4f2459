"""Several runs for one model: each has a folder in the output folder, and the files of the chosen one are copied."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tf_tokclf.config.loading import config_text, load_config, save_config, with_settings
from tf_tokclf.config.schema import Config
from tf_tokclf.encoding.model_info import FILE_NAME as MODEL_INFO
from tf_tokclf.errors import Stopped, UserError
from tf_tokclf.files import copy_whole, open_whole
from tf_tokclf.model.backend import keras
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_history import epoch_rows
from tf_tokclf.run_record import RunRecord, damage, note_change, read_record, write_record
from tf_tokclf.runs.single import fit_single
from tf_tokclf.scoring.measures import MEASURES, Measure
from tf_tokclf.training.resume import with_earlier_choices
from tf_tokclf.training.run_identity import check_same, setting_differences, settings_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VariantScores:
    """F1 of a run by split (0 to 1), and its validation score by the measure that chooses among the runs."""

    f1: dict[str, float]
    value: float


def variant(config: Config, run: RunDir, values: Mapping[str, Any], *, push: bool = False) -> Config:
    """The configuration with other values ("section.key" -> value) and another output folder."""
    return with_settings(config, {**values, "output_dir": str(run.root), "hub.push": push})


def chosen_variant(
    config: Config, root: RunDir, run: RunDir, values: Mapping[str, Any], *, push: bool = False
) -> Config:
    """The configuration of the chosen run, which has ended, with `root` as its folder."""
    return variant(with_earlier_choices(variant(config, run, values)), root, {}, push=push)


def fit_unless_finished(
    config: Config,
    name: str,
    measure: Measure,
    *,
    resume: bool,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> VariantScores:
    """Train or continue one of several runs. Returns its scores.

    measure: chooses among the runs. name: of the run in messages. resume: skip the run if it is finished and not
    damaged. callbacks: additional Keras callbacks.
    """
    run = RunDir.of(config.output_dir)
    if resume:
        config = with_earlier_choices(config)
    if not (resume and _is_finished(run, config)):
        log.info("%s: %s", name, run.root)
        try:
            fit_single(config, resume=resume, callbacks=callbacks)
        except Stopped as stopped:
            message = f"{name}: {stopped} (or continue all runs with the same command and --resume)"
            raise Stopped(message, exit_code=stopped.exit_code) from stopped
        finally:
            # Free the memory of this run before the next one.
            keras.backend.clear_session()
    splits = json.loads(run.results.read_text(encoding="utf-8"))["splits"]
    f1 = {name: float(values["overall"]["f1"]) for name, values in splits.items()}
    if measure.name == "F1":
        return VariantScores(f1, f1["validation"])
    return VariantScores(f1, _value(run, config, measure, splits["validation"]))


def _value(run: RunDir, config: Config, measure: Measure, results: Mapping[str, Any]) -> float:
    """The validation score of the model of a finished run, from the history, or else from its results.

    results: the scores of the saved model on validation. Raises UserError if neither contains a number.
    """
    own = MEASURES[config.training.metric_for_best_model]
    rows = epoch_rows(run.history)
    best = max(rows, key=lambda row: own.rank(_number(row.get(own.field))), default={})
    value = _number(best.get(measure.field))
    if value is None:
        value = _number(measure.in_results(results))
    if value is None:
        raise UserError(
            f"the validation {measure.name} of this run is unknown, so it cannot be compared with other runs.",
            path=run.root,
            hint="Choose among the runs by F1: --metric-for-best-model f1.",
        )
    return value


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if is_number else None


def take_over(root: RunDir, run: RunDir, config: Config) -> None:
    """Copy the finished run `run` to `root`, without its checkpoints. config: the configuration to write there.

    If `root` already contains that run, its model is kept, because it may have been calibrated since. The temperature
    is kept even if a damaged model has to be copied again.
    """
    record, chosen = read_record(root), read_record(run)
    calibrated = None
    if record is None or not _holds(root, record, run, chosen):
        calibrated = _calibrated(root, record, run, chosen)
        root.finished.unlink(missing_ok=True)
        # The configuration comes first, because the folder is recognised as a run's by it.
        save_config(config, root.config)
        for source, target in zip(_outcome(run), _outcome(root)):
            if source.exists():
                copy_whole(source, target)
        record = chosen
    save_config(config, root.config)
    if record is not None:
        write_record(root, replace(record, texts={**record.texts, root.config.name: config_text(config)}))
    if calibrated is not None:
        info = root.model / MODEL_INFO
        with open_whole(info) as file:
            file.write(calibrated)
        note_change(info)


def _holds(root: RunDir, record: RunRecord, run: RunDir, chosen: RunRecord | None) -> bool:
    """Whether `root` contains the intact model of `run`. Only the temperature may differ."""
    return record.is_scored(root) and not damage(root, record) and _is_same_model(root, record, run, chosen)


def _calibrated(root: RunDir, record: RunRecord | None, run: RunDir, chosen: RunRecord | None) -> str | None:
    """The text of `tf_tokclf.json` with the temperature in `root`, if `root` contained the model of `run`."""
    if record is None or not _is_same_model(root, record, run, chosen):
        return None
    return record.texts.get((root.model / MODEL_INFO).relative_to(root.root).as_posix())


def _is_same_model(root: RunDir, record: RunRecord, run: RunDir, chosen: RunRecord | None) -> bool:
    if chosen is None or record.settings != chosen.settings:
        return False
    return _model_files(root, record) == _model_files(run, chosen)


def _model_files(run: RunDir, record: RunRecord) -> dict[str, str]:
    """The checksums of the model's files, except the one that calibration changes."""
    folder = f"{run.model.name}/"
    return {
        name: checksum
        for name, checksum in record.files.items()
        if name.startswith(folder) and name != f"{folder}{MODEL_INFO}"
    }


def _outcome(run: RunDir) -> tuple[Any, ...]:
    own = (run.model, run.history, run.history_table, run.results, run.predictions, run.report)
    return (run.validation_cut, *own)


def _is_finished(run: RunDir, config: Config) -> bool:
    """Whether a run is finished and intact. Raises UserError if it is another run."""
    record = read_record(run)
    # Earlier versions did not write a record.
    if record is None and (run.checkpoints.exists() or not run.results.is_file()):
        return False
    before = record.settings if record else settings_of(load_config(run.config))
    check_same(setting_differences(settings_of(config), before), run)
    return record is None or (record.is_scored(run) and not damage(run, record))
