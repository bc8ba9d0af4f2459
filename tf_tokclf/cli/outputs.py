"""What all commands that write a file check first."""

from __future__ import annotations

import os
from pathlib import Path

from tf_tokclf.errors import UserError


def check_output(output: Path | None, *, force: bool) -> None:
    """Raise UserError where writing `output` would replace a file unasked, or cannot work."""
    if output is None:
        return
    try:
        exists = output.exists()
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}.", path=output, hint="Choose another name.") from error
    if exists and not force:
        raise UserError("the file exists.", path=output, hint="Choose another name, or replace it with --force.")
    if not output.parent.is_dir():
        raise UserError("there is no such folder to write in.", path=output.parent, hint="Make it first.")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise UserError("nothing may be written in this folder.", path=output.parent, hint="Check its permissions.")
