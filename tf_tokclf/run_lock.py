"""The lock that lets only one process at a time write in a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tf_tokclf.errors import UserError
from tf_tokclf.files import is_file_locked, lock_file
from tf_tokclf.run_dir import RunDir


@contextmanager
def locked(run: RunDir, *, hint: str = "Wait for it, or choose another --output-dir.") -> Iterator[None]:
    """Create the run's folder, and lock it during the block. The lock also ends if the process is killed.

    hint: what to do if another process is writing in the folder.
    """
    check_link(run.root)
    with ExitStack() as stack:
        try:
            run.root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(lock_file(run.lock))
        except BlockingIOError as error:
            raise UserError("another run is writing in this folder.", path=run.root, hint=hint) from error
        except OSError as error:
            problem = f"the folder cannot be created: {error.strerror}."
            raise UserError(problem, path=run.root, hint="Choose another --output-dir.") from error
        yield


def is_locked(run: RunDir) -> bool:
    """Whether a process is writing in the run's folder. Nothing is written, and no run that starts is disturbed."""
    return is_file_locked(run.lock)


def check_link(path: Path) -> None:
    """Raise UserError if `path` is a link to nothing."""
    if path.is_symlink() and not path.exists():
        hint = "Make the target available again, or remove the link."
        raise UserError(f"is a link to {path.readlink()}, which does not exist.", path=path, hint=hint)
