"""Check for files in a model folder from an unknown source."""

from __future__ import annotations

from pathlib import Path

from tf_tokclf.errors import UserError

FETCH_AGAIN = "Fetch the model again, or remove it."


def is_there(path: Path) -> bool:
    """Whether a regular file exists at `path`.

    Raises UserError for a folder, a device, a named pipe or a broken link. The model needs a file there, and without it
    would be a different model.
    """
    if path.is_file():
        return True
    if path.is_symlink() and not path.exists():
        raise UserError("is a link to a file that does not exist.", path=path, hint=FETCH_AGAIN)
    if path.exists():
        raise UserError("is not a file.", path=path, hint=FETCH_AGAIN)
    return False
