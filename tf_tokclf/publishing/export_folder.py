"""The folder that an export is written to."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.inputs import data_files, data_files_of_run, model_files
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_no_input, check_replaceable

# Every export has it.
AGREEMENT = "agreement.json"


def check_free(output: Path, model: str | Path, data: DataConfig, *, force: bool) -> None:
    """Raise UserError where something is at `output` already, unless `force` is on and it is an export or empty, and
    where it contains what is read: `model`, or the `data` to compare on.
    """
    check_no_input(output, chain(model_files(str(model)), data_files(data), data_files_of_run(model)))
    if not (output.exists() or output.is_symlink()):
        return
    if not output.is_dir() or (any(output.iterdir()) and not (output / AGREEMENT).is_file()):
        raise UserError("is not an export, so it is not replaced.", path=output, hint="Choose another folder.")
    check_replaceable(output)
    if not force:
        raise UserError("already exists.", path=output, hint="Choose another folder, or pass --force.")
