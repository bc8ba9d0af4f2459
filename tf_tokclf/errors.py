"""The one exception that a user's mistake ends in: what is wrong, where, and what to do."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """Something the user has to change. The command line prints it as one message and exits with 2.

    problem: what is wrong, a whole sentence. path, line, row: where (lines and rows count from 1).
    hint: what to do about it, a whole sentence.

    >>> print(UserError("I-LOC follows O.", path="train.conll", line=7, hint="Start the span with B-LOC."))
    train.conll, line 7: I-LOC follows O. Start the span with B-LOC.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        row: int | None = None,
        hint: str | None = None,
    ) -> None:
        self.problem = problem
        self.path = None if path is None else str(path)
        self.line = line
        self.row = row
        self.hint = hint
        super().__init__(problem)

    def __str__(self) -> str:
        place = [self.path] if self.path else []
        if self.line is not None:
            place.append(f"line {self.line}")
        if self.row is not None:
            place.append(f"row {self.row}")
        message = f"{', '.join(place)}: {self.problem}" if place else self.problem
        return f"{message} {self.hint}" if self.hint else message


def first_line(error: BaseException) -> str:
    """What a library's error says, in a line, without the full stop.

    >>> first_line(ValueError("no such thing.\\nAnd more")), first_line(KeyError())
    ('no such thing', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300].rstrip(".")


class JobError(Exception):
    """The job itself failed though nothing in the user's input is wrong: exit code 1."""


class Stopped(KeyboardInterrupt):
    """A run stopped because somebody asked it to, with its state saved: exit code 130 (Ctrl-C) or 143 (SIGTERM)."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(message)
