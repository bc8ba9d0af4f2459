"""An unfinished output: its file, its progress and the identity of its job."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from tf_tokclf.config.references import resolve_reference
from tf_tokclf.errors import UserError
from tf_tokclf.files import journal_of, partial_of, try_lock, write_json
from tf_tokclf.records.base import STDIN

_HASHED_BYTES = 1 << 20


@dataclass(frozen=True)
class Progress:
    """The content of an output: number of records and words of the input, of bytes, and of records with problems."""

    n_records: int = 0
    n_words: int = 0
    n_bytes: int = 0
    n_problems: int = 0


class UnfinishedOutput:
    """An output that is being written: OUTPUT.partial, and OUTPUT.journal with the progress that is safely on disk."""

    def __init__(self, output: Path) -> None:
        self.partial = partial_of(output)
        self.journal = journal_of(output)

    def exists(self) -> bool:
        """Whether there is an unfinished output."""
        return self.partial.exists() and self.journal.exists()

    def progress(self, identity: dict[str, Any]) -> Progress:
        """The progress of an earlier job, if there was one. Raises UserError if it was a different job."""
        if not self.exists():
            return Progress()
        try:
            noted = json.loads(self.journal.read_text(encoding="utf-8"))
            progress, before = Progress(**noted["progress"]), noted["identity"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError("cannot be read.", path=self.journal, hint="Start again with --force.") from error
        changed = [name for name in {**before, **identity} if before.get(name) != identity.get(name)]
        if changed:
            then, now = before.get(changed[0]), identity.get(changed[0])
            raise UserError(
                f"the interrupted job had another {changed[0]}: {then}, not {now}.",
                path=self.partial,
                hint="Use the same settings and input, or start again with --force.",
            )
        if self.partial.stat().st_size < progress.n_bytes:
            problem = "is shorter than its journal states."
            raise UserError(problem, path=self.partial, hint="Start again with --force.")
        return progress

    def open(self, n_bytes: int) -> IO[bytes]:
        """The open file, truncated to its first `n_bytes`."""
        if self.partial.is_symlink():
            raise UserError("is a link. Links are not followed here.", path=self.partial, hint="Remove it.")
        # Mode "ab" creates the file, but does not change it: another job may be writing it.
        self.partial.open("ab").close()
        file = self.partial.open("r+b")
        if not try_lock(file.fileno()):
            file.close()
            hint = "Wait for it, or choose another --output."
            raise UserError("another job is writing this output.", path=self.partial, hint=hint)
        file.truncate(n_bytes)
        file.seek(n_bytes)
        return file

    def noted_beside(self) -> dict[str, Any]:
        """The state of the files beside the output that `note` recorded."""
        noted = json.loads(self.journal.read_text(encoding="utf-8")).get("beside")
        return noted if isinstance(noted, dict) else {}

    def note(
        self, file: IO[bytes], progress: Progress, identity: dict[str, Any], beside: dict[str, Any] | None = None
    ) -> None:
        """Record in the journal that everything in the file is valid. beside: the state of files beside the output."""
        flush(file)
        state = {"beside": beside} if beside else {}
        write_json(self.journal, {"progress": asdict(progress), "identity": identity, **state})

    def remove(self) -> None:
        """Remove both files."""
        self.partial.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)


def flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def is_whole(output: Path) -> bool:
    """Whether an output exists and is complete."""
    return output.exists() and not UnfinishedOutput(output).exists()


def files_of(output: Path) -> tuple[Path, ...]:
    """An output, and the two files beside it while it is being written."""
    unfinished = UnfinishedOutput(output)
    return output, unfinished.partial, unfinished.journal


def identity_of(model_folder: Path, source: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What must be equal for a job to be resumed: model and input by content, settings by value."""
    file = None if source == STDIN else resolve_reference(source)
    content = fingerprint(file) if file and file.is_file() else None
    return {"model": model_fingerprint(model_folder), "input": content, **settings}


def model_fingerprint(folder: Path) -> str:
    """A hash of a model's files."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".txt", ".model", ".safetensors", ".h5", ".bin"):
            digest.update(f"{path.name}\0{fingerprint(path)}\0".encode())
    return digest.hexdigest()


def fingerprint(path: Path) -> str:
    """A hash of a file's size, start and end, to detect whether the file has changed."""
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        digest.update(file.read(_HASHED_BYTES))
        file.seek(max(size - _HASHED_BYTES, 0))
        digest.update(file.read(_HASHED_BYTES))
    return digest.hexdigest()
