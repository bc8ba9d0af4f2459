"""Reading `history.jsonl`, a line of JSON for each scoring in training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tf_tokclf.errors import UserError
from tf_tokclf.json_text import parse_json

_RESTORE = "Restore the run with `tf-tokclf fit RUN --resume`."


def epoch_rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a history file as they are, which may lack values. Empty if there is no file.

    Raises UserError if the file is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint=_RESTORE) from error
    except ValueError as error:
        raise UserError("not UTF-8 text.", path=path, hint=_RESTORE) from error
    return [_row(line, path, number) for number, line in enumerate(lines, 1) if line]


def _row(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise UserError(f"not valid JSON: {error}.", path=path, line=number, hint=_RESTORE) from error
    if not isinstance(row, dict):
        raise UserError("not a JSON object.", path=path, line=number, hint=_RESTORE)
    return row
