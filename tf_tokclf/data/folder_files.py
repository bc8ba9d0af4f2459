"""Files in a folder that somebody else made: there, absent, or something that is no file."""

from __future__ import annotations

from pathlib import Path

from tf_tokclf.errors import UserError

FETCH_AGAIN = "Fetch the model again, or remove it."


def is_there(path: Path) -> bool:
    """Whether a regular file is at `path`.

    Raises UserError for a folder, a device, a named pipe, or a link that leads nowhere: a file that the model needs was
    meant to be there, and reading on without it would give another model.
    """
    if path.is_file():
        return True
    if path.is_symlink() and not path.exists():
        raise UserError("is a link to a file that does not exist.", path=path, hint=FETCH_AGAIN)
    if path.exists():
        raise UserError("is not a file.", path=path, hint=FETCH_AGAIN)
    return False


def check_links(folder: Path, files: list[Path], *, hint: str) -> None:
    """Raise UserError for the first of `files` that is a link to a place outside of `folder`.

    In the Hub's cache, models--X/snapshots/REVISION/FILE is a link to models--X/blobs/HASH, which counts as inside.
    """
    root = folder.resolve()
    for path in files:
        real = path.resolve()
        in_hub_cache = root.parent.name == "snapshots" and real.parent == root.parent.parent / "blobs"
        if not (real.is_relative_to(root) or in_hub_cache):
            raise UserError(f"is a link to {real}, outside of the model's folder.", path=path, hint=hint)
