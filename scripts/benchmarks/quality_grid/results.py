"""The file of results: a line of JSON for each cell."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quality_grid.cells import Cell, Result, Results
from tf_tokclf.errors import UserError
from tf_tokclf.files import lock_file


def read_results(path: Path) -> Results:
    """The results by cell. The last line does not count if a killed process has not finished it."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    rows = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise UserError(f"not valid JSON: {error}.", path=path, line=number, hint="Remove the line.") from error
    return {Cell.of(row): row for row in rows}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from writing to the file during the block, and remove a line that is not complete.

    Raises UserError if another process does the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with lock_file(path.with_name(f"{path.name}.lock")):
            _remove_incomplete_line(path)
            yield
    except BlockingIOError as error:
        hint = "Wait until it has finished, or choose another file with --results."
        raise UserError("another process is writing results to this file.", path=path, hint=hint) from error


def append_result(path: Path, result: Result) -> None:
    """Add a line in one write, and wait until it is on the disk."""
    line = (json.dumps(result, ensure_ascii=False) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        written = os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if written != len(line):
        raise OSError(f"{path}: only {written} of {len(line)} bytes were written")


def _remove_incomplete_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete < len(content):
        os.truncate(path, complete)
