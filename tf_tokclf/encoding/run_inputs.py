"""Check what a training run reads, without TensorFlow, so that simple mistakes are reported within a second."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tf_tokclf.config.references import is_package_reference, resolve_reference
from tf_tokclf.config.schema import Config
from tf_tokclf.data.reading.base import STDIN, require_file
from tf_tokclf.data.splits import open_files
from tf_tokclf.encoding.model_folders import local_model_folder, looks_like_hub_id
from tf_tokclf.errors import UserError


def check_run_inputs(config: Config) -> None:
    """Raise UserError for missing settings, for all missing files and folders together, or for files whose format or
    columns do not match the settings. Data sets and models on the Hub are not checked.
    """
    check_complete(config)
    check_there(config)
    if not config.data.dataset_name and str(STDIN) not in _files(config):
        open_files(config.data, task=config.task)


def check_complete(config: Config) -> None:
    """Raise UserError if settings that every run needs are missing."""
    problems = []
    if not (config.data.train_file or config.data.dataset_name):
        problems.append("no training data: give --train-file or --dataset-name")
    if not config.model.name_or_path:
        problems.append("no encoder: give --model-name-or-path (a Hub id, a folder or package:NAME/PATH)")
    if not config.output_dir:
        problems.append("no folder for the run: give --output-dir")
    if problems:
        raise UserError("Incomplete configuration:" + "".join(f"\n  - {problem}" for problem in problems))


def check_there(config: Config) -> None:
    """Raise one UserError that lists all data files that do not exist, and an encoder that cannot be used."""
    checks: list[tuple[str, Callable[[str], object]]] = [
        *((file, _check_data) for file in _files(config) if file != str(STDIN)),
        (config.model.name_or_path or "", partial(_check_encoder, trust_remote_code=config.model.trust_remote_code)),
    ]
    errors = []
    for reference, check in checks:
        try:
            check(reference)
        except UserError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        listing = "".join(f"\n  - {error}" for error in errors)
        raise UserError(f"{len(errors)} inputs cannot be used:{listing}")


def _files(config: Config) -> list[str]:
    """The data files that the configuration names, each once."""
    data = config.data
    named = () if data.dataset_name else (data.train_file, data.validation_file, data.test_file)
    return list(dict.fromkeys(file for file in (*named, data.extra_file) if file))


def _check_data(reference: str) -> None:
    path = resolve_reference(reference)
    if not path.is_dir():  # some formats are folders
        require_file(path)


def _check_encoder(reference: str, *, trust_remote_code: bool) -> None:
    """Check a folder, or a reference that cannot be a Hub id."""
    is_local = is_package_reference(reference) or resolve_reference(reference).exists()
    if reference and (is_local or not looks_like_hub_id(reference)):
        local_model_folder(reference, trust_remote_code=trust_remote_code)
