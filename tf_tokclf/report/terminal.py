"""The terminal: data on stdout, everything else on stderr, colour and moving bars only where a person looks."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from tf_tokclf.control_characters import plain_text
from tf_tokclf.hub import redact


@cache
def stderr_console() -> Console:
    """Where messages, progress and tables about a run go."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=sys.stderr is None or not sys.stderr.isatty())


@cache
def stdout_console() -> Console:
    """Where a command's result goes."""
    return Console(highlight=False, markup=False, width=None if sys.stdout is not None and sys.stdout.isatty() else 80)


def key_value_table(rows: Iterable[tuple[str, str]]) -> RenderableType:
    """Names and values in two columns; values that are too long go on below themselves."""
    return _KeyValues(list(rows))


@dataclass(frozen=True)
class _KeyValues:
    """Like a table, without the blanks that a table puts after its last column."""

    rows: list[tuple[str, str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max((len(name) for name, _ in self.rows), default=0) + 2
        for name, value in self.rows:
            room = max(options.max_width - width, 20)
            lines = Text(plain_text(value)).wrap(console, room, overflow="fold") or [Text()]
            for number, line in enumerate(lines):
                line.rstrip()
                yield Text.assemble(("" if number else name).ljust(width), line, no_wrap=True, overflow="ignore")


class TerminalHandler(logging.Handler):
    """Log records as lines on stderr that do not tear a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record: plain below WARNING, named from there on."""
        try:
            text = Text(plain_text(redact(self.format(record))))
            if record.levelno >= logging.WARNING:
                style = "bold yellow" if record.levelno == logging.WARNING else "bold red"
                text = Text.assemble((f"{record.levelname.capitalize()}: ", style), text)
            stderr_console().print(text)
        except Exception:
            self.handleError(record)


def set_up_logging(*, verbose: bool = False, quiet: bool = False) -> None:
    """Show our messages on stderr: from INFO on, from WARNING on if `quiet`, everything of everybody if `verbose`."""
    ours = logging.getLogger("tf_tokclf")
    ours.handlers[:] = [TerminalHandler()]
    ours.propagate = False
    ours.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(7.31), duration(75), duration(3700)
    ('7.3 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
