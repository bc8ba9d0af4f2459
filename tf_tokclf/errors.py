"""The exceptions that commands turn into a message and an exit code."""

from __future__ import annotations

from pathlib import Path

from tf_tokclf.control_characters import plain_text
from tf_tokclf.redaction import redact


class _OneMessage:
    """Part of an exception whose message says everything. Notebooks show it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython and Jupyter show in place of a traceback."""
        return [f"\x1b[1;31mError:\x1b[0m {plain_text(redact(str(self)))}"]


class UserError(_OneMessage, Exception):
    """Something that the user has to change. The command line prints one message and exits with code 2.

    Attributes:
        problem: What is wrong, as a sentence.
        path: The file.
        line: The line of the file, from 1.
        row: The row of the table, from 1.
        hint: What to do about it, as a sentence.

    Examples:
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
    """The first line of an error's message, without the full stop.

    >>> first_line(ValueError("no such thing.\\nAnd more")), first_line(KeyError())
    ('no such thing', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300].rstrip(".")


class JobError(_OneMessage, Exception):
    """The job failed although the input is right, because of the network or the disk for example. Exit code 1."""


class Stopped(_OneMessage, KeyboardInterrupt):
    """Ctrl-C or SIGTERM stopped a run, and its state was saved. Exit code 130 (Ctrl-C) or 143 (SIGTERM)."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(message)
