"""Reuse the data settings of a run in later commands that evaluate, compare or predict with its model.

Options of the command come first. All other settings are as in training if they apply to the file: the name of a CSV
column, for example, does not apply to a CoNLL file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tf_tokclf.config.flat_settings import plain
from tf_tokclf.config.loading import load_config
from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import Config, DataConfig, Task
from tf_tokclf.config.yaml_text import yaml_line
from tf_tokclf.data.detection import detect_format, is_folder_of_files, open_reader
from tf_tokclf.data.formats.record_formats import RECORD_FORMATS
from tf_tokclf.data.formats.registry import formats_by_name
from tf_tokclf.data.reading.base import STDIN, located
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import read_json
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_record import read_record

if TYPE_CHECKING:
    from tf_tokclf.data.drawing import AnyDrawing, FirstDrawing

log = logging.getLogger(__name__)

# Settings that choose the sentences that are drawn from the training data.
DRAWING = ("validation_fraction", "test_fraction", "split_seed", "split_by")
# Settings that name the data of the run.
_OWN = {
    *DRAWING,
    *("extra_file", "extra_min_score", "extra_labels"),
    *("train_file", "validation_file", "test_file", "dataset_name", "dataset_config_name", "dataset_revision"),
    *("train_split", "validation_split", "test_split", "max_train_samples", "max_eval_samples"),
    *("train_fraction", "train_fraction_seed"),
}
# Names of columns and layers depend on the file.
_COLUMNS = ("sentence_column_name", "text_column_name", "label_column_name", "layer")
# Settings that, like column numbers, only make sense for files of the same format.
_OF_A_FORMAT = ("format", "separator", "comment_prefix", "header", "offset_end", "layer")


@dataclass(frozen=True)
class Inherited:
    """Settings of a run for another file. left_out: settings that do not apply to it."""

    values: Mapping[str, Any]
    left_out: Mapping[str, Any]

    def beside(self, given: DataConfig) -> DataConfig:
        """Combine with the settings `given` to a command, which take precedence."""
        return _checked(dict(self.values) | given.model_dump(exclude_unset=True))

    def say(self, place: str) -> None:
        """Log the settings taken from the run, and warn about those that do not apply."""
        if self.values:
            log.info("%s: settings from the run: %s", place, _listed(self.values))
        if self.left_out:
            log.warning("%s: settings of the run that do not apply here: %s", place, _listed(self.left_out))


def run_of(reference: str | Path) -> RunDir | None:
    """The run with the run folder or model folder `reference`; None for models without a run."""
    for folder in (Path(reference), Path(reference).parent):
        run = RunDir(folder)
        if run.config.is_file() and (run.model / "config.json").is_file() and Path(reference) in (folder, run.model):
            return run
    return None


def run_config(reference: str | Path) -> Config | None:
    """The configuration of the run with the run folder or model folder `reference`; None for models without a run."""
    run = run_of(reference)
    return load_config(run.config) if run else None


def drawing_of(run: RunDir) -> AnyDrawing | None:
    """Which training sentences became other splits of the run; None if none did, or if they have to be drawn again."""
    if not run.validation_cut.is_file():
        record = read_record(run)
        return None if record is None else unrecorded_drawing(record.settings)
    hint = "Restore the file, or name the data with --set data.validation_file=FILE --set data.test_file=FILE."
    values = read_json(run.validation_cut, hint=hint)
    # Prediction imports this module, and does not draw sentences, which needs pyarrow.
    from tf_tokclf.data.drawing import drawing_from_json

    try:
        return drawing_from_json(values)
    except ValueError as error:
        raise UserError(f"cannot be read: {error}.", path=run.validation_cut, hint=hint) from error


def unrecorded_drawing(settings: Mapping[str, Any]) -> FirstDrawing | None:
    """What a run drew, derived from its settings, if its version did not record it. None for other runs."""
    if "data.split_seed" in settings:
        return None
    from tf_tokclf.data.drawing import FirstDrawing

    return FirstDrawing(settings["training.seed"], settings["data.validation_fraction"])


def with_own_settings(config: Config, data: DataConfig) -> Config:
    """A run's configuration with the settings given to a command. Raises UserError if they conflict."""
    values = config.data.model_dump(exclude_unset=True) | data.model_dump(exclude_unset=True)
    return config.model_copy(update={"data": _checked(values)})


def settings_for(path: str, given: DataConfig, config: Config | None, *, task: Task) -> DataConfig:
    """The settings for reading another labelled file: those given to a command, then those of the run.

    given: only fields that were set explicitly are used. config: of the run; None for models without one.
    """
    if config is None:
        return given

    def fits(data: DataConfig) -> None:
        # Standard input can be read only once.
        if path != str(STDIN):
            open_reader(located(path), data, task)

    format = given.format if given.format != "auto" else _format_of(path)
    inherited = inherit(given, config, format=format, fits=fits)
    inherited.say(path)
    return inherited.beside(given)


def inherit(
    given: DataConfig,
    config: Config,
    *,
    format: str | None,
    fits: Callable[[DataConfig], None],
    names: Collection[str] = tuple(DataConfig.model_fields),
) -> Inherited:
    """The settings of a run that apply to another file.

    format: of the file; None if unknown. fits: raises UserError if the file lacks a column. names: the settings to
    consider.
    """
    asked = given.model_dump(exclude_unset=True)
    found = {name: value for name, value in own_settings(config).items() if name in names and name not in asked}
    # Both settings select the labels.
    for name, other in (("label_column_name", "layer"), ("layer", "label_column_name")):
        if name in asked:
            found.pop(other, None)
    before = _own_format(config)
    left_out = {}
    if None not in (before, format) and _family(str(before)) != _family(str(format)):
        for name in (*_OF_A_FORMAT, *_COLUMNS):
            if name in found and (name in _OF_A_FORMAT or isinstance(found[name], int)):
                left_out[name] = found.pop(name)
        if "encoding" in found and not (_has_any_encoding(str(before)) and _has_any_encoding(str(format))):
            left_out["encoding"] = found.pop("encoding")
    for name in _unfit(found, asked, fits):
        left_out[name] = found.pop(name)
    return Inherited(found, left_out)


def own_settings(config: Config) -> dict[str, Any]:
    """The explicit settings of a run that control how data is read, without those that name its data."""
    values = config.data.model_dump(mode="json", exclude_unset=True)
    return {
        name: value
        for name, value in values.items()
        if name not in _OWN and value != DataConfig.model_fields[name].default
    }


def _unfit(found: Mapping[str, Any], asked: Mapping[str, Any], fits: Callable[[DataConfig], None]) -> tuple[str, ...]:
    """The columns that a file lacks, as few as possible; none if the problem is another one."""

    def is_fit(*without: str) -> bool:
        try:
            fits(_checked({name: value for name, value in found.items() if name not in without} | dict(asked)))
        except UserError:
            return False
        return True

    named = tuple(name for name in _COLUMNS if name in found)
    if not named or is_fit():
        return ()
    alone = next(((name,) for name in named if is_fit(name)), None)
    return alone or (named if is_fit(*named) else ())


def _own_format(config: Config) -> str | None:
    """The format of the run's files; None if it cannot be detected any more."""
    data = config.data
    if data.format != "auto":
        return data.format
    if data.dataset_name and not resolve_reference(data.dataset_name).exists():
        return "hf"
    own = data.train_file or data.validation_file or data.test_file or data.dataset_name
    return _format_of(own) if own else None


def _format_of(path: str) -> str | None:
    """The format of a file by its name and content; None if the file is missing and its name does not show it."""
    if path == str(STDIN):
        return None
    try:
        place = resolve_reference(path)
        if is_folder_of_files(place, "auto"):
            place = next((file for file in sorted(place.iterdir()) if file.is_file()), place)
        return detect_format(place)
    except UserError:
        return None


def _family(format: str) -> str:
    return "jsonl" if format in RECORD_FORMATS else {"hf": "parquet"}.get(format, format)


def _has_any_encoding(format: str) -> bool:
    known = formats_by_name().get(format)
    return known is not None and known.has_any_encoding


def _checked(values: Mapping[str, Any]) -> DataConfig:
    try:
        return DataConfig(**values)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"{problem}.", hint="Remove one of the settings.") from None


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={yaml_line(plain(value))}" for name, value in values.items())
