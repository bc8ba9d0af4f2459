"""Parsing untrusted JSON. Every problem raises the same kind of error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError

# Parsed JSON takes about ten times as much memory as its text.
LONGEST_FILE = 64 << 20
# Git writes a few lines that begin with this instead of a large file that was not downloaded.
LFS_POINTER = "version https://git-lfs.github.com/spec/"
# Escaped surrogates. Only two of them together are a character.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def parse_json(text: str, *, halves: bool = False) -> Any:
    """The value of a JSON text.

    Raises ValueError for invalid JSON, for too deep nesting, for numbers with thousands of digits and, unless `halves`
    is on, for single surrogates, which cannot be written in UTF-8.

    >>> parse_json('{"words": ["Ada"]}')
    {'words': ['Ada']}
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError:
        raise
    except ValueError:
        raise ValueError("a number in it has too many digits") from None
    if not halves and _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it contains half of a surrogate pair; write the whole character") from None
    return value


def without_surrogates(text: str) -> str:
    """A JSON text with a replacement character for each surrogate. Keys and types of values stay the same.

    >>> without_surrogates(r'["\\ud800"]')
    '["\\\\ufffd"]'
    """
    return _SURROGATE.sub(r"\\ufffd", text)


def read_json(path: Path, *, hint: str, longest: int = LONGEST_FILE) -> Any:
    """The value in a JSON file. Raises UserError with `hint` if it cannot be read.

    longest: the maximum number of characters.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(longest + 1)
        if len(text) > longest:
            raise ValueError(f"it has more than {counted(longest, 'character')}")
        if text.startswith(LFS_POINTER):
            raise ValueError("the file is only a Git LFS pointer, which `git lfs pull` replaces")
        return parse_json(text)
    except ValueError as error:
        raise UserError(f"not valid JSON: {error}.", path=path, hint=hint) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=path, hint=hint) from error


def json_line(record: Mapping[str, Any]) -> str:
    """A record as a line of JSON."""
    return json.dumps(record, ensure_ascii=False) + "\n"
